"""The labs: their numbers, names, and what each is for."""

from dataclasses import dataclass
from pathlib import Path

from studio.errors import WrongUsage

ROOM = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Lab:
    """One lab.

    ``minutes`` is what a learner should set aside; ``heard`` what it ends with.
    """

    number: int
    name: str
    title: str
    minutes: int
    heard: str

    @property
    def slug(self):
        """The name of its folder: ``02_melody_lstm``."""
        return f"{self.number:02d}_{self.name}"

    @property
    def folder(self):
        return ROOM / self.slug

    @property
    def source(self):
        """The one source, percent cells with its solutions."""
        return self.folder / "lab.py"

    @property
    def student(self):
        """The notebook with stubs in place of solutions."""
        return self.folder / f"{self.slug}.ipynb"

    @property
    def solution(self):
        return self.folder / f"{self.slug}_solution.ipynb"


LABS = (
    Lab(
        0,
        "sequences_and_tokens",
        "Sequences and tokens",
        60,
        "a score, its tokens, and the sound of both",
    ),
    Lab(
        1,
        "recurrence",
        "Recurrence",
        90,
        "a key named in the first bar, and who knows it a hundred notes later",
    ),
    Lab(
        2,
        "melody_lstm",
        "A melody from an LSTM",
        60,
        "your first generated melody",
    ),
    Lab(
        3,
        "language_models",
        "Language models",
        90,
        "a real tune against the same with one wrong note",
    ),
    Lab(
        4,
        "translation",
        "Translation",
        90,
        "a bass written under a melody, and the picture of where it looked",
    ),
    Lab(
        5,
        "transformer",
        "The Transformer",
        90,
        "Schubert's opening, finished",
    ),
    Lab(
        6,
        "raw_audio",
        "Raw audio",
        90,
        "a drum loop that a network plays sample by sample, epoch after epoch",
    ),
    Lab(
        7,
        "listening_machines",
        "Listening machines",
        75,
        "what a network took for a jig, a minor key, a digit, and was wrong",
    ),
    Lab(
        8,
        "memory",
        "Memory",
        75,
        "a motif repeated from memory, and the heads that read and wrote it",
    ),
    Lab(
        9,
        "audio_codes",
        "Audio codes",
        75,
        "sound from a few hundred shapes, then sound that was never recorded",
    ),
    Lab(
        10,
        "source_separation",
        "Source separation",
        60,
        "a mixture, and the melody without the drums",
    ),
    Lab(
        11,
        "your_own_folder",
        "Your own folder",
        120,
        "your own model's tunes, and a blind test of them",
    ),
)


def find_lab(wanted):
    """A lab by its number ("2", "02") or its name ("melody_lstm", "02_melody_lstm").

    Raises:
        WrongUsage: if there is none.
    """
    wanted = str(wanted).strip()
    for lab in LABS:
        if wanted in {lab.name, lab.slug}:
            return lab
        if wanted.isdecimal() and int(wanted) == lab.number:
            return lab
    raise WrongUsage(
        f"There is no lab {wanted!r}. There are: "
        + ", ".join(f"{lab.number} {lab.name}" for lab in LABS)
    )
