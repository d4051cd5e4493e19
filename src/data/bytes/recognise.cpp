#include "data/bytes/recognise.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "data/bytes/idx.hpp"

namespace ae::data {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kHeadBytes = 4096;
constexpr std::size_t kMagicBytes = 6;  // worth waiting for

// --- bytes -----------------------------------------------------------------------------------------------------------

bool is_binary(std::string_view head) {
  return std::ranges::any_of(head, [](char c) { return (c >= 0 && c < '\t') || (c > '\r' && c < ' '); });
}

std::uint64_t little_endian(std::string_view head, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) value = value << 8 | static_cast<unsigned char>(head[at + i - 1]);
  return value;
}

// Behind "BM" stand the file's size, four bytes of 0, the offset of the pixels, and the size of one of the known
// headers.
bool is_bmp(std::string_view head) {
  constexpr std::array<std::uint64_t, 7> kHeaders{12, 40, 52, 56, 64, 108, 124};
  return head.size() >= 18 && little_endian(head, 6, 4) == 0 &&
         std::ranges::find(kHeaders, little_endian(head, 14, 4)) != kHeaders.end();
}

// A RIFF container of one.
bool is_webp(std::string_view head) { return head.size() > 12 && head.substr(8, 4) == "WEBP" && is_binary(head); }

// A JSON object behind its length.
bool is_safetensors(std::string_view head) {
  constexpr std::uint64_t kMostHeaderBytes = 100'000'000;
  if (head.size() < 10 || head[8] != '{') return false;
  const std::uint64_t length = little_endian(head, 0, 8);
  return length >= 2 && length <= kMostHeaderBytes;
}

// Protocol 2 to 5; older ones are text and look like anything.
bool is_pickle(std::string_view head) { return head.size() >= 2 && head[1] >= 2 && head[1] <= 5; }

// --- text ------------------------------------------------------------------------------------------------------------

// Without their ends; what stands behind the last end is no whole line.
std::vector<std::string_view> whole_lines(std::string_view head) {
  std::vector<std::string_view> lines;
  for (std::size_t end = head.find('\n'); end != std::string_view::npos; end = head.find('\n')) {
    std::string_view line = head.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    head.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view columns(std::string_view line, std::size_t first, std::size_t last) {  // counted from 1
  return line.size() < first ? std::string_view() : line.substr(first - 1, last - first + 1);
}

bool all_decimals(std::string_view line, std::span<const std::size_t> edges) {
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
    const std::string_view cell = trimmed(columns(line, edges[i], edges[i + 1] - 1));
    if (cell.find('.') == std::string_view::npos || !parse_number(cell)) return false;
  }
  return true;
}

// wwpdb.org/documentation/file-format-content/format33: the record's name in columns 1 to 6, then fixed columns.
bool is_pdb_record(std::string_view line) {
  std::string_view name = columns(line, 1, 6);
  name = name.substr(0, name.find_last_not_of(' ') + 1);
  return !name.empty() &&
         std::ranges::all_of(name, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

// A record that nothing but a PDB file has.
bool proves_pdb(std::string_view line) {
  constexpr std::array<std::size_t, 4> kCoordinates{31, 39, 47, 55};
  constexpr std::array<std::size_t, 7> kCell{7, 16, 25, 34, 41, 48, 55};
  if (line.starts_with("ATOM  ") || line.starts_with("HETATM")) return all_decimals(line, kCoordinates);
  if (line.starts_with("CRYST1")) return all_decimals(line, kCell);
  if (line.starts_with("HEADER    ")) return wildcard_match("\?\?-\?\?\?-\?\?", columns(line, 51, 59));
  return line.starts_with("REMARK ") && parse_number(trimmed(columns(line, 8, 10))).has_value();
}

bool is_pdb(std::string_view head) {
  const auto lines = whole_lines(head);
  return lines.size() >= 2 && std::ranges::all_of(lines, is_pdb_record) && std::ranges::any_of(lines, proves_pdb);
}

// The first data item of a CIF file: data_NAME alone on the first line, tags behind it. "" when this is none.
std::string_view first_cif_tag(std::string_view head) {
  bool named = false;
  for (const std::string_view line : whole_lines(head)) {
    if (trimmed(line).empty() || line.starts_with('#')) continue;
    if (named && (line.starts_with("loop_") || line.starts_with("save_"))) continue;
    if (named) return line.starts_with('_') ? line.substr(0, line.find_first_of(" \t")) : std::string_view();
    if (!line.starts_with("data_") || trimmed(line).find_first_of(" \t,;|\"") != std::string_view::npos) return {};
    named = true;
  }
  return {};
}

// Names of both dictionaries begin with a category; in macromolecular ones a dot follows it.
bool is_cif_tag(std::string_view tag) {
  constexpr std::array kCategories{"_entry"sv,  "_atom"sv,  "_audit"sv,       "_cell"sv,   "_chem"sv,    "_citation"sv,
                                   "_cod_"sv,   "_comp"sv,  "_database"sv,    "_diffrn"sv, "_entity"sv,  "_exptl"sv,
                                   "_geom"sv,   "_ihm"sv,   "_journal"sv,     "_ma_"sv,    "_pd"sv,      "_publ"sv,
                                   "_refine"sv, "_refln"sv, "_space_group"sv, "_struct"sv, "_symmetry"sv};
  return std::ranges::any_of(kCategories, [&](std::string_view category) { return tag.starts_with(category); });
}

bool is_mmcif(std::string_view head) {
  const std::string_view tag = first_cif_tag(head);
  return is_cif_tag(tag) && tag.find('.') != std::string_view::npos;
}

bool is_cif(std::string_view head) { return is_cif_tag(first_cif_tag(head)); }

std::string_view without_space(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

std::string_view without_byte_order_mark(std::string_view head) {
  return head.starts_with("\xef\xbb\xbf") ? head.substr(3) : head;
}

// An object, or an array of objects, arrays or texts: RFC 8259. An array of numbers begins as a cell may: "[1,2]".
bool is_json(std::string_view head) {
  const std::string_view text = without_space(without_byte_order_mark(head));
  if (text.empty() || (text[0] != '{' && text[0] != '[')) return false;
  const std::string_view inner = without_space(text.substr(1));
  if (inner.empty()) return false;
  if (text[0] == '[') return inner[0] == '{' || inner[0] == '[' || inner[0] == '"';
  const auto end = inner.find('"', 1);
  return inner[0] == '"' && end != std::string_view::npos && without_space(inner.substr(end + 1)).starts_with(':');
}

bool begins_with_tag(std::string_view head, std::span<const std::string_view> tags) {
  const std::string_view text = without_space(without_byte_order_mark(head));
  return std::ranges::any_of(tags, [&](std::string_view tag) {
    const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
    return text.size() > tag.size() && std::ranges::equal(text.substr(0, tag.size()), tag, same) &&
           std::string_view(" \t\r\n>").find(text[tag.size()]) != std::string_view::npos;
  });
}

bool is_html(std::string_view head) {
  constexpr std::array kTags{"<!doctype"sv, "<html"sv, "<head"sv, "<body"sv, "<table"sv};
  return begins_with_tag(head, kTags);
}

bool is_xml(std::string_view head) {
  constexpr std::array kTags{"<?xml"sv};
  return begins_with_tag(head, kTags);
}

std::size_t count_outside_quotes(std::string_view line, char delimiter) {
  bool quoted = false;
  std::size_t count = 0;
  for (const char c : line) {
    quoted ^= c == '"';
    count += !quoted && c == delimiter;
  }
  return count;
}

// The same number of cells, more than one, in every line.
bool is_text_table(std::string_view head) {
  const auto lines = whole_lines(head);
  if (lines.size() < 2 || is_binary(head)) return false;
  return std::ranges::any_of(",;\t"sv, [&](char delimiter) {
    const std::size_t cells = count_outside_quotes(lines.front(), delimiter);
    return cells > 0 && std::ranges::all_of(lines, [&](std::string_view line) {
             return count_outside_quotes(line, delimiter) == cells;
           });
  });
}

// --- the registry ----------------------------------------------------------------------------------------------------

struct Signature {
  FileType type;
  std::string_view magic;                            // how the file begins
  bool (*matches)(std::string_view head) = nullptr;  // what else must hold
};

constexpr std::string_view kAsPng = "convert it to a PNG image";
constexpr std::string_view kCompressOtherwise = "compress it with gzip or Zstandard instead";
constexpr std::string_view kCoordinates =
    "write its coordinates as an NPY array of shape (structures, numbers), which is a table";

constexpr Signature kSignatures[] = {
    {{"a PNG image", "images", "give it a name that ends in .png"}, "\x89PNG\r\n\x1a\n"},
    {{"a JPEG image", "images", "give it a name that ends in .jpg"}, "\xff\xd8\xff"},
    {{"a BMP image", "images", "give it a name that ends in .bmp"}, "BM", is_bmp},
    {{"a TIFF image", "images", "give it a name that ends in .tif"}, "II*\0"sv},
    {{"a TIFF image", "images", "give it a name that ends in .tif"}, "MM\0*"sv},
    {{"a GIF image", "", kAsPng}, "GIF87a", is_binary},
    {{"a GIF image", "", kAsPng}, "GIF89a", is_binary},
    {{"a WebP image", "", kAsPng}, "RIFF", is_webp},
    {{"an IDX file, as MNIST has", "images", "give it a name that ends in .idx"}, "\0\0"sv, is_idx},
    {{"an HDF5 file (.h5, .h5ad)", "counts", "write its matrix as CSV or with numpy.save",
      "a replay buffer for \"arrays\" (begin with configs/swing.json)"},
     "\x89HDF\r\n\x1a\n"},
    {{"a Matrix Market file (.mtx)", "counts", "give it a name that ends in .mtx"}, "%%MatrixMarket matrix "},
    {{"a Parquet file", "", "convert it with pandas: read_parquet() and to_csv()"}, "PAR1", is_binary},
    {{"an Arrow file", "", "convert it with pandas: read_feather() and to_csv()"}, "ARROW1\0\0"sv},
    {{"a safetensors file", "", "write the tensor with numpy.save"}, "", is_safetensors},
    {{"a Python pickle, which is never executed", "", "write arrays with numpy.save, tables with to_csv()"},
     "\x80",
     is_pickle},
    {{"an R data file (.rds)", "", "write it with write.csv() in R"}, "X\n\0\0\0"sv},
    {{"an R data file (.rda)", "", "write it with write.csv() in R"}, "RDX", is_binary},
    {{"a MATLAB file", "", "write the matrix with writematrix() as CSV"}, "MATLAB 5.0 MAT-file", is_binary},
    {{"an Excel workbook (.xls)", "", "export it as CSV"}, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
    {{"xz-compressed data", "", kCompressOtherwise},
     "\xfd"
     "7zXZ\0"sv},
    {{"bzip2-compressed data", "", kCompressOtherwise}, "BZh", is_binary},
    {{"a PDB structure file", "", kCoordinates}, "", is_pdb},
    {{"an mmCIF structure file", "", kCoordinates}, "", is_mmcif},
    {{"a CIF structure file", "", kCoordinates}, "", is_cif},
    {{"a JSON file", "", "convert it with pandas: read_json() and to_csv()"}, "", is_json},
    {{"an HTML page", "", "export the table as CSV, or convert it with pandas: read_html() and to_csv()"}, "", is_html},
    {{"an XML file", "", "export the table as CSV, or convert it with pandas: read_xml() and to_csv()"}, "", is_xml},
    {{"a text table", "table", "give it a name that ends in .csv"}, "", is_text_table},
};

struct Member {
  FileType type;
  std::string_view pattern;  // of a member's name
};

constexpr Member kArchiveMembers[] = {
    {{"an Excel workbook (.xlsx)", "", "export it as CSV"}, "xl/workbook.*"},
    {{"an OpenDocument file (.ods)", "", "export it as CSV"}, "content.xml"},
    {{"a file of torch.save (.pt)", "", "write the tensor with numpy.save"}, "*data.pkl"},
};

// Also compressed.
constexpr Member kFolderMembers[] = {
    {{"a 10x folder of counts (matrix.mtx)", "counts", "put its names beside it"}, "*matrix.mtx*"},
    {{"a folder with a Matrix Market file (.mtx)", "counts", "give the name of the file"}, "*.mtx*"},
    {{"a folder that Minari wrote", "arrays", "give the name of the file in it"}, "main_data.hdf5"},
};

const FileType* recognise_members(std::span<const Member> known, std::span<const std::string> names) {
  const auto found = std::ranges::find_if(known, [&](const Member& member) {
    return std::ranges::any_of(names, [&](const auto& name) { return wildcard_match(member.pattern, name); });
  });
  return found == known.end() ? nullptr : &found->type;
}

}  // namespace

std::string read_head(ByteSource& source) {
  std::string head(kHeadBytes, '\0');
  std::size_t filled = 0;
  while (filled < head.size() && (filled < kMagicBytes || source.ready())) {
    const std::size_t count = source.read(head.data() + filled, head.size() - filled);
    if (count == 0) break;
    filled += count;
  }
  head.resize(filled);
  return head;
}

const FileType* recognise(std::string_view head) {
  head = head.substr(0, kHeadBytes);
  const auto* found = std::ranges::find_if(kSignatures, [&](const Signature& signature) {
    return head.starts_with(signature.magic) && (!signature.matches || signature.matches(head));
  });
  return found == std::end(kSignatures) ? nullptr : &found->type;
}

const FileType* recognise_archive(std::span<const std::string> members) {
  return recognise_members(kArchiveMembers, members);
}

const FileType* recognise_folder(std::span<const std::string> files) {
  return recognise_members(kFolderMembers, files);
}

std::string_view recipe_for(std::string_view type) {
  constexpr std::pair<std::string_view, std::string_view> kRecipes[] = {
      {"table", "any-table"}, {"images", "pcb-inspection"}, {"counts", "scrna-embed"}};
  const auto* const found = std::ranges::find(kRecipes, type, [](const auto& entry) { return entry.first; });
  return found == std::end(kRecipes) ? "" : found->second;
}

std::string for_type(std::string_view type) {
  // A type alone would leave the settings that go with the other one, which then are refused.
  const auto recipe = recipe_for(type);
  return "it is for /data/type " + ae::quoted(type) +
         (recipe.empty() ? "" : " (to train: ae-train --recipe " + std::string(recipe) + ")");
}

InputError wrong_kind(const std::string& name, const FileType& found, std::string_view kind,
                      std::string_view expected) {
  const bool other = !found.kind.empty() && found.kind != kind;
  return InputError(name + ": found " + std::string(found.what) + ", expected " + std::string(expected) + "; " +
                    (other ? for_type(found.kind) + (found.also.empty() ? "" : ", " + std::string(found.also))
                           : std::string(found.fix)));
}

}  // namespace ae::data
