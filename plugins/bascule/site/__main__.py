"""`python -m bascule.site FILE` (`make check-site`): every error of a site file, with its line; needs no other part."""

import sys

from bascule.site import SiteError, load


def main(words: list[str]) -> int:
    if len(words) != 1:
        print("usage: python -m bascule.site FILE", file=sys.stderr)
        return 2
    try:
        site = load(words[0])
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{words[0]}: the site file of {site.name} can be read, and has no error that shows without its hosts")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
