"""Files as other programs write them, and with --wrong also files that are wrong. usage: make_files.py FOLDER [--wrong]"""

import base64
import datetime
import random
import struct
import sys
import zipfile
import zlib
from pathlib import Path

from docx import Document
from ebooklib import epub
from openpyxl import Workbook
from pptx import Presentation
from pptx.util import Inches
from reportlab.lib import pdfencrypt
from reportlab.pdfgen import canvas

FOLDER = Path(sys.argv[1])
random.seed(17)


def word():
    document = Document()
    document.core_properties.title = "Benefits guide"
    document.add_heading("Benefits guide", 0)
    document.add_heading("Leave", 1)
    document.add_paragraph("Employees have 25 days of leave – “each year” 🌴.")
    document.add_heading("Parental leave", 2)
    document.add_paragraph("Ask early", style="List Bullet")
    document.add_paragraph("Sign the form", style="List Number")
    table = document.add_table(rows=1, cols=3)
    for cell, text in zip(table.rows[0].cells, ["Country", "Days", "Notes"]):
        cell.text = text
    for number in range(60):
        cells = table.add_row().cells
        cells[0].text, cells[1].text, cells[2].text = f"Country {number}", str(20 + number % 9), "a | b, with some more words"
    table.rows[1].cells[1].merge(table.rows[2].cells[1]).text = "both"
    document.save(FOLDER / "guide.docx")


def excel():
    book = Workbook()
    sheet = book.active
    sheet.title = "Budget"
    sheet.append(["Item", "Amount", "Date"])
    for number in range(5):
        sheet.append([f"Item {number}", number * 1.1, datetime.date(2026, 1, 31) + datetime.timedelta(number)])
    book.create_sheet("Empty")
    merged = book.create_sheet("Zürich")
    for row in [["Region", "Amount"], ["North", 1], [None, 2], [None, True]]:
        merged.append(row)
    merged.merge_cells("A2:A4")
    book.save(FOLDER / "budget.xlsx")
    book = Workbook()
    sheet = book.active
    sheet.title = "Customers"
    rows = [["id", "name", "city", "amount", "paid"]]
    rows += [[i, f"Customer {random.randrange(10**6)}", random.choice(["Paris", "Kyōto"]), random.randrange(10**5) + 0.25, i % 2 == 0] for i in range(10_000)]
    for row in rows:
        sheet.append(row)
    book.save(FOLDER / "customers.xlsx")
    lines = (",".join(str(cell).upper() if isinstance(cell, bool) else str(cell) for cell in row) for row in rows)
    (FOLDER / "customers.csv").write_text("\n".join(lines) + "\n")


def powerpoint():
    deck = Presentation()
    for number in range(1, 6):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Slide title {number} 🌴"
        frame = slide.placeholders[1].text_frame
        frame.text = "Point one"
        point = frame.add_paragraph()
        point.text, point.level = "Point below", 1
        if number == 3:
            table = slide.shapes.add_table(2, 2, Inches(1), Inches(3), Inches(5), Inches(2)).table
            for cell, text in zip(table.iter_cells(), ["Quarter", "Sales", "Q1", "1200"]):
                cell.text = text
            slide.notes_slide.notes_text_frame.text = "Say it slowly"
    deck.save(FOLDER / "deck.pptx")


def book():
    volume = epub.EpubBook()
    volume.set_title("A small book")
    chapters = []
    for number in range(1, 4):
        chapter = epub.EpubHtml(title=f"Chapter {number}", file_name=f"text/chapter {number}.xhtml")
        chapter.content = f"<h1>Chapter {number}</h1><p>It &amp; <b>she</b> said &lt;{number}&gt;.</p><ol><li>one<ul><li>below</li></ul></li></ol>"
        volume.add_item(chapter)
        chapters.append(chapter)
    volume.toc = chapters
    volume.add_item(epub.EpubNcx())
    volume.add_item(epub.EpubNav())
    volume.spine = ["nav", *chapters]
    epub.write_epub(str(FOLDER / "book.epub"), volume)


def bare_percent():
    """A book whose manifest names a chapter as it is, where % should be %25."""
    with zipfile.ZipFile(FOLDER / "percent.epub", "w") as archive:
        archive.writestr("META-INF/container.xml", '<container><rootfiles><rootfile full-path="c.opf"/></rootfiles></container>')
        item = '<item id="a" href="100%.xhtml" media-type="application/xhtml+xml"/>'
        archive.writestr("c.opf", f'<package><manifest>{item}</manifest><spine><itemref idref="a"/></spine></package>')
        archive.writestr("100%.xhtml", "<p>All of it</p>")


def pdfs():
    pages = canvas.Canvas(str(FOLDER / "pages.pdf"))
    pages.setTitle("Numbered pages")
    for number in range(1, 301):
        if number != 2:  # a page without text
            for line in range(30):
                pages.drawString(72, 780 - line * 20, f"Page {number} line {line}: the quick brown fox jumps over the lazy dog.")
        pages.showPage()
    pages.save()
    scan = canvas.Canvas(str(FOLDER / "scan.pdf"))
    scan.rect(10, 10, 100, 100, fill=1)
    scan.save()
    locked = canvas.Canvas(str(FOLDER / "locked.pdf"), encrypt=pdfencrypt.StandardEncryption("secret", "owner"))
    locked.drawString(72, 700, "hidden")
    locked.save()


def stream(dictionary, content):
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (dictionary, len(content), content)


def one_page(name, dictionary, content, contents=b"4 0 R", font=b"", others=()):
    """A PDF whose only content stream has this dictionary and these bytes. The others are objects from number 7 on."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
               b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %s/Resources<</Font<</F1 5 0 R>>>>>>" % contents,
               stream(dictionary, content), b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica%s>>" % font, b"/FlateDecode", *others]
    whole, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(whole))
        whole += b"%d 0 obj %s endobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(whole)
    whole += b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>startxref\n%d\n%%%%EOF" % (len(objects) + 1, table, len(objects) + 1, start)
    (FOLDER / name).write_bytes(whole)


def lzw(codes):
    """LZW as PDF has it: codes of 9 to 12 bits, widened one code early."""
    bits, count, known, width = 0, 0, 257, 9
    packed = bytearray()
    for code in codes:
        bits, count = bits << width | code, count + width
        while count >= 8:
            count -= 8
            packed.append(bits >> count)
            bits &= (1 << count) - 1
        known, width = (257, 9) if code == 256 else (min(known + 1, 4096), width)
        if known + 1 >= 1 << width and width < 12:
            width += 1
    return bytes(packed) + bytes([bits << 8 - count & 255])


def pdf_filters():
    """One text under each filter, and under several."""
    content = b"BT /F1 12 Tf 72 700 Td (Hello you) Tj ET"
    deflated = zlib.compress(content)
    one_page("deflated.pdf", b"/Filter/FlateDecode", deflated)
    one_page("referred.pdf", b"/Filter 6 0 R", deflated)
    one_page("hex.pdf", b"/Filter[/ASCIIHexDecode/FlateDecode]", deflated.hex().encode() + b">")
    one_page("ascii85.pdf", b"/Filter[/A85 /Fl#61teDecode]", base64.a85encode(deflated) + b"~>")
    one_page("lzw.pdf", b"/Filter/LZWDecode", lzw([256, *content, 257]))
    one_page("runs.pdf", b"/Filter[/FlateDecode/RunLengthDecode]", zlib.compress(bytes([len(content) - 1]) + content + b"\x80"))


def pdf_bombs():
    """Small PDFs with a stream that becomes larger than 256 MB."""
    spaces = zlib.compress(b" " * 300_000_000)
    one_page("bomb.pdf", b"/Filter/FlateDecode", spaces)
    one_page("bomb-referred.pdf", b"/Filter 6 0 R", spaces)
    one_page("bomb-hidden.pdf", b"/X(endstream 9 0 obj)", spaces)
    one_page("bomb-cut.pdf", b"/Filter/FlateDecode", spaces[:280_000] + b"\xff" * 1000)
    one_page("bomb-twice.pdf", b"/Filter[/FlateDecode/FlateDecode]", zlib.compress(spaces))
    one_page("bomb-hex.pdf", b"/Filter[/AHx/Fl]", spaces.hex().encode() + b">")
    one_page("bomb-ascii85.pdf", b"/Filter[/ASCII85Decode/FlateDecode]", base64.a85encode(spaces) + b"~>")
    one_page("bomb-runs.pdf", b"/Filter[/FlateDecode/RunLengthDecode]", zlib.compress(b"\x81 " * 2_400_000 + b"\x80"))
    one_page("bomb-lzw.pdf", b"/Filter/LZWDecode", lzw([256, 32, *range(258, 4096), *[4095] * 80_000, 257]))
    one_page("bomb-many.pdf", b"/Filter[" + b"/FlateDecode" * 20 + b"]", many_times(b"text", 20))
    one_page("long-page.pdf", b"/Filter/FlateDecode", zlib.compress((b"BT /F1 4 Tf 10 700 Td (" + b"Hello you " * 12 + b") Tj ET\n") * 180_000))


def hard_pdfs():
    """Small PDFs that would keep pdf.js busy, or make it take memory."""
    # To decode hexadecimal digits takes pdf.js long, so the time ends before the memory does.
    quiet = zlib.compress((b"q Q\n" * 500_000).hex().encode() + b">")
    one_page("endless.pdf", b"/Filter[/FlateDecode/ASCIIHexDecode]", quiet, contents=b"[" + b"4 0 R " * 100_000 + b"]")
    long = zlib.compress(b"BT /F1 12 Tf 72 700 Td (" + b"a" * 200_000_000 + b") Tj ET")
    one_page("long-string.pdf", b"/Filter/FlateDecode", long)
    marks = b"1 begincodespacerange <00> <FF> endcodespacerange 2 beginbfchar <41> <0301> <42> <0327> endbfchar"
    text = zlib.compress(b"BT /F1 12 Tf 72 700 Td (" + b"AB" * 500_000 + b") Tj ET")
    one_page("marks.pdf", b"/Filter/FlateDecode", text, font=b"/ToUnicode 7 0 R", others=[stream(b"", b"begincmap " + marks + b" endcmap")])


def zipped(name, parts):
    with zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in parts.items():
            archive.writestr(part, text)


def sheet(name, text, more=None):
    related = '<Relationship Id="r1" Type="x/worksheet" Target="s.xml"/><Relationship Id="r2" Type="x/styles" Target="f.xml"/>'
    zipped(name, {"xl/workbook.xml": '<workbook><sheets><sheet name="S" r:id="r1"/></sheets></workbook>', "xl/s.xml": f"<worksheet>{text}",
                  "xl/_rels/workbook.xml.rels": f"<Relationships>{related}</Relationships>", **(more or {})})


def hard_office():
    """Small files that would take hours, or gigabytes, if they were read plainly."""
    cell = '<row r="1"><c r="A1"><v>1</v></c></row>'
    sheet("merges.xlsx", cell + '<mergeCell ref="A1:A100000"/>' * 1_000_000)
    sheet("far.xlsx", '<dimension ref="A1:XFD1048576"/>' + cell + '<row r="1048576"><c r="XFD1048576"><v>9</v></c></row>')
    sheet("format.xlsx", cell, {"xl/f.xml": '<styleSheet><numFmt numFmtId="200" formatCode="' + "[" * 2_000_000 + '"/>'})
    zipped("spans.docx", {"word/document.xml": "<d><w:tbl><w:tr>" + '<w:tc><w:gridSpan w:val="64"/></w:tc>' * 4_000_000})
    nested = '<w:tbl><w:tr><w:tc><w:gridSpan w:val="64"/>' * 60 + "<w:p><w:t>text</w:t></w:p>" + "</w:tc></w:tr></w:tbl>" * 60
    zipped("nested.docx", {"word/document.xml": f"<d>{nested}"})
    entities = '<!DOCTYPE d [<!ENTITY a "ha">' + "".join(f'<!ENTITY {after} "{f"&{each};" * 10}">' for each, after in zip("abcdefghi", "bcdefghij")) + "]>"
    zipped("entities.docx", {"word/document.xml": entities + "<d><w:p><w:t>&j; text</w:t></w:p></d>"})
    # Fonts may be obscured where chapters are not.
    items = "".join(f'<item id="{i}" href="{i}.xhtml" media-type="text/html"/><itemref idref="{i}"/>' for i in (1, 11))
    for name, locked in [("fonts.epub", "e/1.ttf"), ("locked.epub", "e/1.xhtml")]:
        zipped(name, {"META-INF/container.xml": '<c><rootfile full-path="e/c.opf"/></c>', "e/c.opf": f"<p>{items}", "e/1.xhtml": "<p>One", "e/11.xhtml": "<p>Two",
                      "META-INF/encryption.xml": f'<e><x:CipherReference URI="{locked}"/><x:CipherReference URI="e/e/11.xhtml"/></e>'})
    (FOLDER / "nested.html").write_text("<table><tr><td colspan=1000>" * 50 + "text" + "</table>" * 50)
    (FOLDER / "spaces.html").write_text("<pre>a" + " " * 2_000_000 + "b</pre>")
    (FOLDER / "ticks.html").write_text("<pre>" + "` x" * 1_000_000 + "</pre>")


def many_times(content, times):
    for _ in range(times):
        content = zlib.compress(content)
    return content


def wrong():
    """Files that are broken, or made to use up memory."""
    (FOLDER / "empty.txt").write_bytes(b"")
    (FOLDER / "spaces.md").write_bytes(b" \n\n ")
    (FOLDER / "binary.txt").write_bytes(random.randbytes(100_000))
    (FOLDER / "text.pdf").write_bytes(b"This is no PDF.")
    (FOLDER / "text.docx").write_bytes(b"This is no DOCX.")
    (FOLDER / "old.doc").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
    (FOLDER / "locked.xlsx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
    for name in ("guide.docx", "budget.xlsx", "deck.pptx", "book.epub", "pages.pdf"):
        whole = (FOLDER / name).read_bytes()
        (FOLDER / f"cut-{name}").write_bytes(whole[: len(whole) // 2])
        changed = bytearray(whole)
        for _ in range(300):
            changed[random.randrange(len(changed))] = random.randrange(256)
        (FOLDER / f"changed-{name}").write_bytes(changed)
    with zipfile.ZipFile(FOLDER / "other.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with zipfile.ZipFile(FOLDER / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "<w:document><w:p><w:t>" + "a" * 300_000_000)
    # An archive that says its part is small.
    lying = bytearray((FOLDER / "bomb.docx").read_bytes())
    place = lying.rindex(b"PK\x01\x02")
    lying[place + 24 : place + 28] = struct.pack("<I", 1000)
    (FOLDER / "lying.docx").write_bytes(lying)
    with zipfile.ZipFile(FOLDER / "parts.docx", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"word/{number}.xml", "")
        archive.writestr("word/document.xml", "")
    with zipfile.ZipFile(FOLDER / "deep.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "<w:p>" * 2_000_000)
    with zipfile.ZipFile(FOLDER / "wide.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", '<workbook><sheets><sheet name="S" r:id="r1"/></sheets></workbook>')
        archive.writestr("xl/_rels/workbook.xml.rels", '<Relationships><Relationship Id="r1" Type="x/worksheet" Target="s.xml"/></Relationships>')
        rows = "".join(f'<row r="{i}"><c r="{"ABCDEFGH"[i % 8]}{"XYZ"[i % 3]}{i}"><v>1</v></c><c r="XFD{i}"><v>1</v></c></row>' for i in range(1, 400_000))
        archive.writestr("xl/s.xml", f'<worksheet><sheetData>{rows}</sheetData><mergeCells><mergeCell ref="A1:XFD99999999"/></mergeCells></worksheet>')
    # Small files that make large tables.
    with zipfile.ZipFile(FOLDER / "shared.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", '<workbook><sheets><sheet name="S" r:id="r1"/></sheets></workbook>')
        related = '<Relationship Id="r1" Type="x/worksheet" Target="s.xml"/><Relationship Id="r2" Type="x/sharedStrings" Target="t.xml"/>'
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{related}</Relationships>")
        archive.writestr("xl/t.xml", "<sst><si><t>" + "a" * 5_000_000 + "</t></si></sst>")
        rows = "".join(f'<row r="{i}"><c r="A{i}" t="s"><v>0</v></c><c r="B{i}" t="s"><v>0</v></c></row>' for i in range(1, 1000))
        archive.writestr("xl/s.xml", f"<worksheet>{rows}</worksheet>")
    (FOLDER / "columns.html").write_text("<table><tr><td colspan=1000>" + "a" * 2_000_000 + "</table>")
    (FOLDER / "wide.html").write_text("<table><tr><td colspan=1000>a" + "<tr><td>a" * 200_000 + "</table>")
    (FOLDER / "rows.html").write_text("<table>" + "<tr><td rowspan=1000 colspan=1000>a" * 30_000 + "</table>")
    (FOLDER / "deep.html").write_text("<div>" * 1_000_000)
    (FOLDER / "open.html").write_text("<" * 3_000_000 + "<!--" * 100_000)


for make in (word, excel, powerpoint, book, bare_percent, pdfs, pdf_filters):
    make()
if "--wrong" in sys.argv:
    wrong()
    pdf_bombs()
    hard_pdfs()
    hard_office()
