"""pretune families --parameters: exact counts beside the published figures."""


def test_counts_stand_beside_published_figures(world):
    found = world.command("families", "--parameters", 30522, "--json").json()
    rows = {row["preset"]: row for row in found["presets"]}
    assert rows["bert-base"]["body"] == 109_482_240 and rows["bert-base"]["published"] == 110_000_000
    assert rows["bert-large"]["body"] == 335_141_888 and rows["bert-large"]["published"] == 340_000_000
    said = world.command("families", "--parameters", 30522).out
    assert "109,482,240" in said and "110,000,000" in said
