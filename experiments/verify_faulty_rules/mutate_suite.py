"""The mutation score of purecnn's own rules: `python -m experiments.verify_faulty_rules.mutate_suite [names]`."""

import sys

from verify import suite
from verify.mutation.score import mutate


def main():
    caught = counted = 0
    for entry in suite.chosen(sys.argv[1:]):
        score = mutate(entry.rule, *entry.args, reference=entry.reference, name=entry.name, limit=30)
        caught += score.count("caught")
        counted += score.count("caught") + score.count("survived")
        print(score, flush=True)
    print(f"all: {caught} of {counted} ({caught / counted:.1%})")


if __name__ == "__main__":
    main()
