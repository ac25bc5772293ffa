"""MusicXML, ABC, Humdrum and tables with something wrong in them, and zips of our own.

Each ``bad_...`` gives [(reasons for which they may be refused, {name: bytes or str})].
"""

import struct
import zlib
from dataclasses import dataclass

NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>{}</duration></note>"
DIVISIONS = "<attributes><divisions>{}</divisions></attributes>"


def xml(body="", head='<?xml version="1.0"?>', measures=True):
    """A score of one part, `body` its only bar, or all that stands in it."""
    if measures:
        body = (
            "<part-list><score-part id='P1'><part-name>P</part-name></score-part>"
            f"</part-list><part id='P1'><measure number='1'>{body}</measure></part>"
        )
    return f"{head}<score-partwise version='3.1'>{body}</score-partwise>"


def xml_tune(rng, divisions=1, duration=1):
    steps = [NOTE.format(step, duration) for step in rng.choice(list("CDEFGAB"), 12)]
    return xml(DIVISIONS.format(divisions) + "".join(steps))


def bad_xml(rng):
    good = xml_tune(rng)
    laughs = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9)
    )
    doctype = '<?xml version="1.0"?><!DOCTYPE score-partwise [{}]>'.format
    bomb = xml("<!-- -->&a9;", head=doctype(laughs))
    note = NOTE.format
    damaged = {
        "a billion laughs.xml": bomb,
        "a billion laughs in 16 bits.xml": bomb.encode("utf-16"),
        "one entity swollen.xml": xml(
            "&a;" * 5000, head=doctype(f'<!ENTITY a "{"ha" * 5000}">')
        ),
        "entity of a file.xml": xml(
            "&a;", head=doctype('<!ENTITY a SYSTEM "file:///etc/passwd">')
        ),
        "entity of the net.xml": xml(
            "&a;", head=doctype('<!ENTITY a SYSTEM "http://127.0.0.1:9/a">')
        ),
        "parameter entity.xml": xml(
            "", head=doctype('<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;')
        ),
        "entity nobody declared.xml": xml("&nothing;" + note("C", 1)),
        "never closed.xml": good[: len(good) // 2],
        "cut in a tag.xml": good[: good.index("<part id") + 5],
        "closed twice.xml": good + "</score-partwise>",
        "closed crosswise.xml": good.replace("</octave></pitch>", "</pitch></octave>"),
        "nested without end.xml": xml("<a>" * 200_000),
        "two values of one name.xml": good.replace("number=", "number='1' number="),
        "a control character.xml": good.replace("<part-name>P", "<part-name>\1"),
        "an ampersand.xml": good.replace("<part-name>P", "<part-name>A & B"),
        "unknown encoding.xml": good.replace('"1.0"', '"1.0" encoding="klingon"'),
        "half a character.xml": good.encode("utf-16")[:-1],
        "cut in 16 bits.xml": good.encode("utf-16")[: len(good)],
        "a lone surrogate.xml": good.replace("P1", "\ud800").encode(
            "utf-16", "surrogatepass"
        ),
        "bytes of no UTF-8.xml": good.encode().replace(
            b"<part-name>P", b"<part-name>\xff"
        ),
        "a step called Q.xml": good.replace("<step>", "<step>Q"),
        "an octave in words.xml": good.replace("<octave>4", "<octave>four"),
        "a duration in words.xml": good.replace("<duration>1", "<duration>long"),
        "divisions of zero.xml": xml_tune(rng, divisions=0),
        "divisions below zero.xml": xml_tune(rng, divisions=-4),
        "divisions in words.xml": xml_tune(rng, divisions="many"),
        "a duration without end.xml": xml_tune(rng, duration="inf"),
        "a duration of no number.xml": xml_tune(rng, duration="nan"),
        "a duration of 400 digits.xml": xml_tune(rng, duration="9" * 400),
        "no part list.xml": xml(note("C", 1), measures=False),
        "parts within notes.xml": xml("<note>" + good[21:] + "</note>"),
        "beats of zero.xml": xml(
            "<attributes><time><beats>0</beats><beat-type>0</beat-type></time>"
            "</attributes>" + note("C", 1)
        ),
    }
    silent = {
        "no part.xml": xml(measures=False),
        "no bar.xml": xml("<part id='P1'/>", measures=False),
        "a bar of nothing.xml": xml(),
        "rests alone.xml": xml("<note><rest/><duration>4</duration></note>" * 4),
        "grace notes alone.xml": xml(
            note("C", 1).replace("<pitch>", "<grace/><pitch>")
        ),
        "only the root.xml": "<score-partwise/>",
    }
    long = {
        "a note of a million quarters.xml": xml_tune(rng, duration=10**6),
        "a note of a billion quarters.xml": xml_tune(rng, duration=10**9),
    }
    other = {
        "an opus.xml": "<?xml version='1.0'?><opus><title>all</title></opus>",
        "a web page.xml": "<!DOCTYPE html><html><body>score</body></html>",
        "a drawing.xml": "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>",
        "empty but for its head.xml": '<?xml version="1.0"?>',
    }
    return [
        ({"damaged"}, damaged),
        ({"no notes", "damaged"}, silent),
        ({"too long", "damaged"}, long),
        ({"not music"}, other),
    ]


@dataclass(frozen=True)
class Member:
    """A file in a zip; what is None is true, the rest as it is told."""

    name: str
    data: bytes
    method: int = 8  # deflated; 0 is stored
    flags: int = 0
    crc: int | None = None
    inflated: int | None = None

    def headers(self, at):
        """Its header before the data, and the one in the directory."""
        name = self.name.encode()
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        packed = self.packed()
        size = len(self.data) if self.inflated is None else self.inflated
        facts = struct.pack(
            "<5H3L2H",
            *(20, self.flags, self.method, 0, 33, crc, len(packed), size),
            *(len(name), 0),
        )
        rest = struct.pack("<3HLL", 0, 0, 0, 0, at)
        here = b"PK\3\4" + facts + name
        return here, b"PK\1\2" + struct.pack("<H", 20) + facts + rest + name

    def packed(self):
        if self.method != 8 or self.inflated is not None:
            return self.data
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(self.data) + packer.flush()


def zipped(*members):
    """A zip file of these, date and all the same each time."""
    body, directory = b"", b""
    for member in members:
        here, there = member.headers(len(body))
        body += here + member.packed()
        directory += there
    count = len(members)
    return (
        body
        + directory
        + struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0
        )
    )


def zip_bomb(mebibytes):
    """So many MiB of blanks within a score."""
    data = _deflated(b"<score-partwise>", b" " * 2**20, mebibytes, wbits=-15)
    return Member("bomb.xml", data, inflated=mebibytes * 2**20)


def _deflated(head, block, times, wbits=15):
    """`head` and so many blocks, deflated, without packing each of them."""
    packer = zlib.compressobj(9, wbits=wbits)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * times + packer.flush()


def bad_mxl(rng):
    score = Member("score.xml", xml_tune(rng).encode())
    good = zipped(score)
    container = Member("META-INF/container.xml", b"<container><rootfiles/></container>")
    readme = Member("readme.txt", b"no score")
    slips = [Member(up + "evil.txt", b"slipped") for up in ("../../", "/tmp/", "..\\")]
    damaged = {
        "bomb.mxl": zipped(zip_bomb(4000)),
        "bomb that says it is small.mxl": zipped(
            Member("score.xml", zip_bomb(200).data, inflated=100)
        ),
        "zip in a zip in a zip.mxl": zipped(
            Member("a.mxl", zipped(Member("b.mxl", zipped(zip_bomb(100)))))
        ),
        "names that lead out.mxl": zipped(*slips),
        "scores that lead out.mxl": zipped(Member("../../evil.musicxml", b"<evil/>")),
        "container alone.mxl": zipped(container),
        "container and no score.mxl": zipped(container, readme),
        "readme alone.mxl": zipped(readme),
        "locked.mxl": zipped(Member("score.xml", rng.bytes(200), flags=1)),
        "packed in an unknown way.mxl": zipped(
            Member("score.xml", rng.bytes(200), method=99)
        ),
        "wrong sum.mxl": zipped(Member("score.xml", score.data, crc=1)),
        "not deflated at all.mxl": zipped(Member("s.xml", rng.bytes(99), inflated=99)),
        "folder called score.mxl": zipped(Member("score.xml/", b"", method=0)),
        "score of no bytes.mxl": zipped(Member("score.xml", b"")),
        "score that is none.mxl": zipped(Member("score.xml", rng.bytes(500))),
        "score with entities.mxl": zipped(
            Member("s.xml", b"<!DOCTYPE s [<!ENTITY a 'b'>]><score-partwise>&a;")
        ),
        "a text document.mxl": zipped(
            Member("[Content_Types].xml", b"<Types/>"),
            Member("word/document.xml", b"<w:document/>"),
        ),
        **{f"cut at {cut}.mxl": good[:cut] for cut in (4, 30, 60, len(good) - 30)},
        "without its directory.mxl": good[: good.index(b"PK\1\2")],
    }
    return [
        ({"damaged", "no notes"}, damaged),
        ({"not music"}, {"nothing in the zip.mxl": zipped()}),
    ]


def bad_abc(rng):
    head = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:C\n"
    tune = " ".join(rng.choice(list("CDEFGABcdefgab"), 32))
    silent = {
        "header alone.abc": head,
        "ten headers.abc": head * 10,
        "rests alone.abc": head + "z8 | z8 |]\n",
        "text in the body.abc": head + "12 345 !?*~ $$ \n",
        "comments alone.abc": head + f"% {tune}\n",
        "a tune after an empty line.abc": head + f"\n{tune}\n",
        "lyrics alone.abc": head + "w: do re mi\n",
        "length over zero.abc": head + f"A1/0 {tune}\n",
        "length of a million.abc": head + f"A1000000 {tune}\n",
        "length of 5,000 digits.abc": head + f"A{'9' * 5000} {tune}\n",
        "bars of rest without end.abc": head + f"Z999999999 | {tune}\n",
        "rest after rest.abc": head + "z400 " * 4000 + tune + "\n",
        "too low.abc": head + "C,,,,,,,,, " + tune + "\n",
        "too high.abc": head + "c" + "'" * 5000 + tune + "\n",
        "tuplet of billions.abc": head + f"(3:999999999:2 {tune}\n",
        "tuplet of 5,000 digits.abc": head + f"(3:{'9' * 5000}:2 {tune}\n",
        "metre of zero.abc": head.replace("4/4", "0/4") + tune + "\n",
        "metre over zero.abc": head.replace("4/4", "4/0") + tune + "\n",
        "metre of 5,000 digits.abc": head.replace("4/4", "9" * 5000 + "/4") + tune,
        "unit of a thousand.abc": head.replace("1/8", "1000") + tune + "\n",
        "open brackets.abc": head + "[K:" * 20_000 + "[" * 20_000 + "\n",
        "brackets within brackets.abc": head + "[" * 9000 + "]" * 9000 + "\n",
        "slurs without end.abc": head + "(" * 100_000 + "\n",
        "exclamations.abc": head + "!" * 100_001 + "\n",
        "quotation marks.abc": head + '"' * 100_001 + "\n",
        "grace notes alone.abc": head + "{abc}" * 1000 + "\n",
        "half of the bars.abc": head + "|:::|" * 20_000 + "\n",
        "garbage.abc": head.encode() + bytes(rng.integers(128, 256, 5000).tolist()),
        "a thousand voices.abc": head + "".join(f"V:{n}\n" for n in range(1000)),
    }
    other = {
        "in 16 bits, cut.abc": (head + tune).encode("utf-16")[: 2 * len(head) - 7],
        "no key.abc": "X:1\nT:A tune\nM:4/4\n" + tune + "\n",
        "no number.abc": head.partition("\n")[2] + tune + "\n",
        "only a number.abc": "X:1\n",
    }
    # The reader of tunes says of the first one what is wrong with it.
    return [({"no notes", "damaged"}, silent), ({"not music", "no notes"}, other)]


def bad_humdrum(rng):
    damaged = {
        "a head alone.krn": "**kern\n",
        "head and end.krn": "**kern\n*-\n",
        "rests alone.krn": "**kern\n*M4/4\n4r\n4r\n*-\n",
        "comments alone.krn": "!!! COM: nobody\n**kern\n!! nothing\n*-\n",
        "no such duration.krn": f"**kern\n{'9' * 400}c\n*-\n",
        "numbers alone.krn": "**kern\n4\n8\n16\n*-\n",
        "words.krn": "**kern\nlorem\nipsum\n*-\n",
        "zeros.krn": b"**kern\n" + bytes(2000),
        "spines without end.krn": "**kern" + "\t**kern" * 999 + "\n",
        "spines that split for ever.krn": "**kern\n"
        + "".join("\t".join(["*^"] * 2**n) + "\n" for n in range(9)),
        "more voices than spines.krn": "**kern\n" + "4x\t4y\n" * 20,
    }
    return [({"damaged", "no notes"}, damaged)]


def bad_tables(rng):
    deep = 100_000
    pitches = rng.integers(40, 90, (12, 4))
    rows = "\n".join(",".join(map(str, row)) for row in pitches.tolist())
    level5 = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    zeros = _deflated(struct.pack("<II", 14, 2**28), bytes(2**20), 256)
    damaged = {
        "deeper and deeper.json": "[" * deep + "]" * deep,
        "never closed.json": "[[60, 62], [64,",
        "a pitch of 400 digits.json": f"[[[{'9' * 400}]]]",
        "a pitch of 1e999.json": "[[[1e999, 60]]]",
        "no number.json": "[60, 61, NaN]",
        "pitches in words.json": '[[["do", "re"]]]',
        "other keys.json": '{"name": 1, "numbers": [60, 62]}',
        "text for a piece.json": '{"train": ["text"]}',
        "a pitch of 128.json": "[[[60, 128]]]",
        "half a pitch.json": "[[[60.5, 62]]]",
        "a header alone.csv": "start,duration,pitch\n1\n",
        "ragged.csv": rows + "\n60,62\n",
        "words among numbers.csv": rows + "\n60,do,62,64\n",
        "a pitch of 500.csv": rows + "\n60,500,62,64\n",
        "a pitch below silence.csv": rows + "\n60,-7,62,64\n",
        "without durations.csv": "start,pitch\n0,60\n1,62\n",
        "ends before its start.csv": "start,end,pitch\n4,1,60\n",
        "starts before time.csv": "start,duration,pitch\n-1,1,60\n",
        "starts at the end of time.csv": "start,duration,pitch\n1e300,1,60\n",
        "a thousand columns.csv": ",".join(["60"] * 1000) + "\n",
        "two million lines.csv": "60,62\n" * 2_000_000,
        "a quotation never closed.csv": rows + '\n"60,62,64,65\n',
        "only a head.mat": level5,
        "cut in its first table.mat": level5 + struct.pack("<II", 15, 5000),
        "an element of 4 GB.mat": level5 + struct.pack("<II", 14, 2**32 - 1) + bytes(9),
        "bomb.mat": level5 + struct.pack("<II", 15, len(zeros)) + zeros,
        "garbage.mat": level5 + rng.bytes(3000),
    }
    silent = {
        "an empty list.json": "[]",
        "lists of nothing.json": "[[[], []], [[]]]",
        "silence.json": "[[[-1, -1], [-1, -1]]]",
        "an empty object.json": "{}",
        "silence.csv": "-1,-1\n" * 50,
    }
    long = {
        "a year.csv": "start,duration,pitch\n0,1,60\n500000,1,62\n",
        "sixteenths for ever.csv": "60,62\n" * 70_000,
    }
    # What is hardly a table passes for text.
    return [
        ({"damaged", "not music"}, damaged),
        ({"no notes", "damaged", "not music"}, silent),
        ({"too long", "damaged"}, long),
    ]
