"""pretune families --parameters: exact counts beside the published figures; pretune recipes: the differences."""

from pretune.core.registry import entries


def test_counts_stand_beside_published_figures(world):
    found = world.command("families", "--parameters", 30522, "--json").json()
    rows = {row["preset"]: row for row in found["presets"]}
    assert rows["bert-base"]["body"] == 109_482_240 and rows["bert-base"]["published"] == 110_000_000
    assert rows["bert-large"]["body"] == 335_141_888 and rows["bert-large"]["published"] == 340_000_000
    said = world.command("families", "--parameters", 30522).out
    assert "109,482,240" in said and "110,000,000" in said


def test_recipes_are_a_row_each_in_what_they_differ(world):
    said = world.command("recipes").out
    first, second = (block.splitlines() for block in said.split("\n\n"))
    for block in (first, second):
        assert [line.split()[0] for line in block[2 : 2 + len(entries("pretune.recipes"))]] == list(
            entries("pretune.recipes")
        )
    of = {line.split()[0]: line for line in first}
    assert "span_boundary" in of["spanbert"] and "128" not in of["spanbert"] and "128" in of["bert"]
    assert "finetune top bilstm" in of["bert-ltr-bilstm"] and "finetune" not in of["bert-ltr"]
    rows = {line.split()[0]: line for line in second}
    assert "8,192" in rows["roberta"] and "1e-08" in rows["spanbert"]
    assert "spike" not in second[0] and "seed" not in second[0], "what is the same everywhere is left out"
    found = world.command("recipes", "--json").json()
    assert found["roberta"]["settings"]["optimizer"]["betas"] == [0.9, 0.98]
    assert all(row["about"] and row["sources"] for row in found.values())


def test_one_recipe_is_shown_by_its_differences_and_sources(world):
    said = world.command("recipes", "bert-no-nsp-mini").out
    assert "As bert, but:" in said and "next_sentence+mlm" in said and "bert-no-nsp-mini" in said
    assert "objective: Devlin et al. 2019, section 5.1" in said and "batch_size" not in said
    whole = world.command("recipes", "roberta-tiny").out
    assert "Sizes: tiny, " in whole and "256" in whole and "8,192" not in whole and "spike" not in whole
    assert world.command("recipes", "robert").status == 2
