"""Text as content: passages of characters, as a `Score` is a piece of notes."""

import re
from dataclasses import dataclass

from data_pipelines.guard import Refused

LONGEST_PASSAGE = 32_768  # characters
BLANK_LINE = re.compile(r"\n(?:[ \t]*\n)+")


@dataclass(frozen=True)
class Text:
    """A passage of text.

    Args:
        text: str; may be empty.
        title: str, for people.

    Raises:
        ValueError: if half a surrogate pair stands in it, which no encoding can write.
    """

    text: str
    title: str = ""

    def __post_init__(self):
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"Character {error.start} of the text is half a surrogate pair: "
                f"{self.text[error.start]!r}."
            ) from None

    def __len__(self):
        return len(self.text)


def read_texts(text, form="text", title=""):
    """The passages of a file of text.

    Newlines become ``\\n``. Of ABC each tune is a passage, the fields that stand before
    the first repeated in each; of all else the whole file is one. A passage longer than
    32,768 characters is cut, without a character lost or added, after a blank line where
    there is one, else after a line, a word, or in the middle of one.

    Args:
        text: str, what the file holds.
        form: str, as `guard.sniff` names it; "abc" has a meaning here.
        title: str, of the file. A tune has its own, where it names one.

    Returns:
        list of `Text`, each with a character that is not blank.

    Raises:
        Refused: if there is none.
        ValueError: if half a surrogate pair stands in it.
    """
    if form == "abc":
        from data_pipelines.abc import split_tunes

        wholes = [(tune, _title_of(tune) or title) for tune in split_tunes(text)]
    else:
        wholes = [(text.replace("\r\n", "\n").replace("\r", "\n"), title)]
    passages = [
        Text(passage, name)
        for whole, name in wholes
        for passage in cut_passages(whole)
        if passage.strip()
    ]
    if not passages:
        what = "no tune in it" if form == "abc" else "no character but blanks"
        raise Refused("empty file", what)
    return passages


def cut_passages(text, longest=LONGEST_PASSAGE):
    """Cut a text into passages of at most `longest` characters; joined, they are it.

    Each is as long as can be: it ends after the last blank line within reach; where
    there is none after the last line, else the last word, else where it must.

    Returns:
        list of str, none of them empty.
    """
    passages, start = [], 0
    while len(text) - start > longest:
        reach = start + longest
        blank_lines = [m.end() for m in BLANK_LINE.finditer(text, start, reach)]
        end = (
            max(blank_lines, default=0)
            or text.rfind("\n", start, reach) + 1
            or max(text.rfind(blank, start, reach) for blank in " \t") + 1
            or reach
        )
        passages.append(text[start:end])
        start = end
    return [*passages, text[start:]] if text else []


def _title_of(tune):
    match = re.search(r"^T:[ \t]*(.*?)[ \t]*$", tune, re.M)
    return match[1] if match else ""
