"""What usually causes a pattern: the words after "likely cause"."""

# The first entry whose key occurs in the pattern wins; the order is from the most to the least specific.
CAUSES = (
    ("flipped along axes", "the kernel was not flipped (rotated 180°), or was flipped when it should not have been"),
    ("flipped", "an axis is traversed backwards: a reversed kernel or index order"),
    ("transpose", "two axes are swapped: a missing or a superfluous transpose, or (in, out) read as (out, in)"),
    ("shifted", "off by one: the padding on one side, or the window's origin"),
    ("rolled by +2", "a shift in the wrong direction, or an index that is off by two and wraps around"),
    ("rolled by -2", "a shift in the wrong direction, or an index that is off by two and wraps around"),
    ("rolled", "an index is off by one and wraps around"),
    ("permutation", "the right values at the wrong indices: reshape order, axis order, or a scatter index"),
    ("not finite", "an overflow, a division by zero or log 0: use the stable form (subtract the maximum, clamp)"),
    ("factor in each channel", "a factor for each channel is missing or wrong: a scale, a variance, a count"),
    ("sign", "a minus sign is missing or doubled"),
    ("(the batch size)", "a mean over the batch where a sum is due, or the reverse"),
    ("the diagonal", "the function reads one triangle alone: beyond it the cotangent is zero (jnp.tril, jnp.triu)"),
    ("zero, ties", "at ties no entry gets the cotangent, where the convention names one"),
    ("ties", "another convention at ties or at exact zero than the oracle's: ≥ for >, last for first, all for one"),
    ("zero, every sample but the first", "only the first sample is propagated"),
    (
        "but the first",
        "right at index 0 of that axis alone: the first entry's values stand for all, or what is multiplied by the "
        "index is wrong (an angle, a decay, a stride, a dilation)",
    ),
    ("zero, everywhere", "this cotangent is never computed, or is multiplied by zero"),
    ("zero, the only", "this cotangent is never computed, or is multiplied by zero"),
    (
        "zero, last",
        "the end of the axis gets no cotangent: a remainder that windows or blocks do not reach, padding that is cut "
        "off, or entries that are passed through",
    ),
    (
        "last",
        "the end of the axis: a remainder of the stride, the padding on the far side, or a limit that a shorter axis "
        "does not reach (a window, a block)",
    ),
    ("border", "the padding or the ends: cropped, doubled, wrapped around or on the wrong side"),
    ("first row", "the beginning of the axis: the padding on the near side"),
    ("stride lattice", "the stride or dilation is not respected when the cotangent is spread out"),
    ("one element of every row", "the entry that an index picks: a label, a winner, the diagonal"),
    ("the same value", "the cotangent was averaged or summed where it should stay elementwise"),
    ("×", "a constant is wrong: a factor of the derivative, a count in a mean, or a sum taken twice"),
    ("offset", "a constant was added"),
    ("channel", "a part of the last axis: channels, groups or gates are mixed up, or one lacks a term"),
    ("sample", "the first axis is handled wrongly: the batch, or a mask or a boundary along it"),
    ("one element", "an index or a special case is wrong"),
    ("nonzero where zero", "a mask is missing or inverted"),
    ("everywhere", "a factor depends on the wrong array, a term is missing, or the cotangent is not used"),
    ("scattered", "a mask or a data-dependent choice is wrong, or overlapping windows overwrite each other"),
)


def cause_of(pattern: str, rank: int) -> str:
    """The likely cause of a pattern; empty where none is known."""
    for key, cause in CAUSES:
        if key in pattern:
            return cause if rank > 0 or "axis" not in cause else ""
    return ""
