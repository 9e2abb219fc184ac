"""BLiMP (Warstadt et al. 2020): 67 sets of 1,000 minimal pairs of English grammar, in 12 phenomena.

Accuracy by set, by phenomenon and overall. The paper's overall figure is the mean over the sets (table 3), all of one
size: GPT-2's 81.5 % is that mean of its phenomena's figures, weighed by their numbers of sets, and not their plain mean
of 82.8 %. Chance is 50 %. People agreed with the labels in 88.6 % of single judgements, and in 96.4 % by majority.

The phenomena are the paper's (table 4); its files call the two sets with animate subjects "s-selection", the paper
argument structure. Masked models are scored by pseudo-log-likelihood (Salazar et al. 2020), causal ones by
log-likelihood, as the paper's: `evaluate/likelihood.py`. Not here: the paper's one-prefix and two-prefix methods.

>>> len(blimp.phenomena), len(blimp.sets)
(12, 67)
"""

from pretune.evaluate.suites.minimal_pairs import MinimalPairs


def _sets(text: str) -> tuple[str, ...]:
    return tuple(text.split())


blimp = MinimalPairs(
    "blimp",
    "Warstadt et al. 2020",
    "https://github.com/alexwarstadt/blimp/tree/master/data",
    {
        "anaphor agreement": _sets("anaphor_gender_agreement anaphor_number_agreement"),
        "argument structure": _sets(
            "animate_subject_passive animate_subject_trans causative drop_argument inchoative intransitive passive_1 "
            "passive_2 transitive"
        ),
        "binding": _sets(
            "principle_A_c_command principle_A_case_1 principle_A_case_2 principle_A_domain_1 principle_A_domain_2 "
            "principle_A_domain_3 principle_A_reconstruction"
        ),
        "control/raising": _sets(
            "existential_there_object_raising existential_there_subject_raising expletive_it_object_raising "
            "tough_vs_raising_1 tough_vs_raising_2"
        ),
        "determiner-noun agreement": _sets(
            "determiner_noun_agreement_1 determiner_noun_agreement_2 determiner_noun_agreement_irregular_1 "
            "determiner_noun_agreement_irregular_2 determiner_noun_agreement_with_adjective_1 "
            "determiner_noun_agreement_with_adj_2 determiner_noun_agreement_with_adj_irregular_1 "
            "determiner_noun_agreement_with_adj_irregular_2"
        ),
        "ellipsis": _sets("ellipsis_n_bar_1 ellipsis_n_bar_2"),
        "filler-gap dependency": _sets(
            "wh_questions_object_gap wh_questions_subject_gap wh_questions_subject_gap_long_distance "
            "wh_vs_that_no_gap wh_vs_that_no_gap_long_distance wh_vs_that_with_gap wh_vs_that_with_gap_long_distance"
        ),
        "irregular forms": _sets("irregular_past_participle_adjectives irregular_past_participle_verbs"),
        "island effects": _sets(
            "adjunct_island complex_NP_island coordinate_structure_constraint_complex_left_branch "
            "coordinate_structure_constraint_object_extraction left_branch_island_echo_question "
            "left_branch_island_simple_question sentential_subject_island wh_island"
        ),
        "NPI licensing": _sets(
            "matrix_question_npi_licensor_present npi_present_1 npi_present_2 only_npi_licensor_present "
            "only_npi_scope sentential_negation_npi_licensor_present sentential_negation_npi_scope"
        ),
        "quantifiers": _sets(
            "existential_there_quantifiers_1 existential_there_quantifiers_2 superlative_quantifiers_1 "
            "superlative_quantifiers_2"
        ),
        "subject-verb agreement": _sets(
            "distractor_agreement_relational_noun distractor_agreement_relative_clause "
            "irregular_plural_subject_verb_agreement_1 irregular_plural_subject_verb_agreement_2 "
            "regular_plural_subject_verb_agreement_1 regular_plural_subject_verb_agreement_2"
        ),
    },
    folders=("", "data/", "blimp/", "blimp/data/"),
    about=("chance is 0.5; single judgements of people agree with 0.886 of all labels (Warstadt et al. 2020)",),
)
