#include "data/bytes/recognise.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/byte_sources.hpp"

namespace ae::data::recognise_test {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;

std::string what(const std::string& head) {
  const FileType* type = recognise(head);
  return type ? std::string(type->what) : "anything";
}

// Beginnings of real files: of 1CRN, a minimal PDB without header lines, and what Rosetta and PyMOL put before the
// atoms.
const std::string kCrambin =
    "HEADER    PLANT PROTEIN                           30-APR-81   1CRN              \n"
    "TITLE     WATER STRUCTURE OF A HYDROPHOBIC PROTEIN AT ATOMIC RESOLUTION.        \n"
    "COMPND    MOL_ID: 1;                                                            \n";
const std::string kAtoms =
    "ATOM      1  N   THR A   1      17.047  14.099   3.625  1.00 13.79           N  \n"
    "HETATM    2  CA  THR A   1      16.967  12.784   4.338  1.00 10.80           C  \n"
    "TER\n"
    "END\n";
const std::string kCell =
    "CRYST1   40.960   18.650   22.520  90.00  90.77  90.00 P 1 21 1      2          \n"
    "MODEL        1\n";
const std::string kRemarks =
    "REMARK 220 EXPERIMENTAL DETAILS\n"
    "REMARK 220  EXPERIMENT TYPE                : NMR\n";

const std::string kMmcif =
    "data_1CRN\n"
    "# \n"
    "_entry.id   1CRN \n"
    "# \n"
    "_audit_conform.dict_name       mmcif_pdbx.dic \n";
const std::string kCod =
    "#------------------------------------------------------------------------------\n"
    "#$Date: 2016-02-13 21:28:24 +0200 (Sat, 13 Feb 2016) $\n"
    "\n"
    "data_1000041\n"
    "loop_\n"
    "_publ_author_name\n"
    "'Abrahams, S C'\n";
const std::string kPymatgen =
    "# generated using pymatgen\r\n"
    "data_NaCl\r\n"
    "_symmetry_space_group_name_H-M   'P 1'\r\n";

TEST(Recognise, FilesOfOtherKindsByTheirFirstBytes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"s, "a PNG image"},
      {"\xff\xd8\xff\xe0\0\x10JFIF"s, "a JPEG image"},
      {"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"s, "a BMP image"},
      {"II*\0\x08\0\0\0"s, "a TIFF image"},
      {"MM\0*\0\0\0\x08"s, "a TIFF image"},
      {"GIF89a\x01\0\x01\0\x80\0\0"s, "a GIF image"},
      {"GIF87a\x01\0\x01\0\x80\0\0"s, "a GIF image"},
      {"RIFF\x24\0\0\0WEBPVP8 "s, "a WebP image"},
      {"\0\0\x08\x03\0\0\xea\x60"s, "an IDX file, as MNIST has"},
      {"\x89HDF\r\n\x1a\n\0"s, "an HDF5 file (.h5, .h5ad)"},
      {"%%MatrixMarket matrix coordinate integer general\n3 2 0\n", "a Matrix Market file (.mtx)"},
      {"PAR1\x15\x04\x15\x10"s, "a Parquet file"},
      {"ARROW1\0\0\xff\xff\xff\xff"s, "an Arrow file"},
      {"\x40\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"F32\""s, "a safetensors file"},
      {"\x80\x04\x95\x1c\0\0\0"s, "a Python pickle, which is never executed"},
      {"\x80\x02}q\0."s, "a Python pickle, which is never executed"},
      {"X\n\0\0\0\x03\0\x04\x02\x01"s, "an R data file (.rds)"},
      {"RDX3\nX\n\0\0\0\x03"s, "an R data file (.rda)"},
      {"MATLAB 5.0 MAT-file, Platform: GLNXA64\0\0\0\1IM"s, "a MATLAB file"},
      {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"s, "an Excel workbook (.xls)"},
      {"\xfd\x37zXZ\0\0\4"s, "xz-compressed data"},
      {"BZh91AY&SY\x11\x12"s, "bzip2-compressed data"},
      {kCrambin, "a PDB structure file"},
      {kAtoms, "a PDB structure file"},
      {kCell, "a PDB structure file"},
      {kRemarks, "a PDB structure file"},
      {kMmcif, "an mmCIF structure file"},
      {kCod, "a CIF structure file"},
      {kPymatgen, "a CIF structure file"},
      {"a,b\n1,2\n", "a text table"},
      {"a;b\r\n\"1;x\";2\r\n3;4", "a text table"},
  };
  for (const auto& [head, expected] : cases) EXPECT_EQ(what(head), expected) << head;
}

// Tables whose first cells look like the beginning of something else, and things nobody knows.
TEST(Recognise, IsStrict) {
  const std::vector<std::string> tables = {
      "HEADER,TITLE\nATOM,1\n", "HEADER\tx\nATOM  \t1\n", "data_x,_cell\n1,2\n",
      "data_x;b\n_cell;2\n",    "BM,BMI\n1,2\n",          "BMI,age,weight,height\n1,2,3,4\n",
      "PAR1,PAR2\n1,2\n",       "GIF89a,b\n1,2\n",        "RIFF,abcWEBP,c\n1,2,3\n",
      "BZh9,x\n1,2\n",          "RDX,x\n1,2\n",           "X\t\n1\t2\n",
      "II*,x\n1,2\n",           "ARROW1,x\n1,2\n",        "MATLAB 5.0 MAT-file,x\n1,2\n",
      "ATOM  ,x\n1,2\n",        "%PDF,x\n1,2\n",          "%%MatrixMarket,matrix\n1,2\n",
  };
  for (const std::string& table : tables) EXPECT_EQ(what(table), "a text table") << table;
  const std::vector<std::string> unknown = {
      "",
      "B",
      "BM",
      "RIFF",
      "\x80",
      "\0\0"s,
      "\0\0\0\0\0\0\0\0"s,
      "HEADER\nATOM\nHETATM\n",  // a table of one column
      "HEADER\n17.0\n",
      "data_x\n",
      "data_x\n1\n2\n",
      "data_x\n_y\n_z\n",
      kAtoms.substr(0, kAtoms.find('\n') + 1),  // one line proves nothing
      kCrambin.substr(0, kCrambin.find('\n')),  // nor does a piece of one
      kCrambin + "and then something else\n",
      "REMARK one\nREMARK two\n",
      "ATOM      1  N   THR A   1      17,047  14,099   3,625\nTER\n",
      "a\nb\n",
      "a,b\n1\n",
      "a,b",
      "\x93NUMPY\x01\0"s,
      "PK\3\4"s,
      "\x40\0\0\0\0\0\0\1{}"s,
      "a,b\n1,\x01\n",
  };
  for (const std::string& head : unknown) EXPECT_EQ(what(head), "anything") << head;
}

TEST(Recognise, OnlyTheBeginningIsLookedAt) {
  std::string atoms;
  while (atoms.size() < 4096) atoms += kAtoms.substr(0, kAtoms.find('\n') + 1);
  EXPECT_EQ(what(atoms + "not a record\n"), "a PDB structure file");
}

TEST(Recognise, ArchivesByTheNamesOfTheirMembers) {
  const auto archive = [](std::vector<std::string> members) {
    const FileType* type = recognise_archive(members);
    return type ? std::string(type->what) : "anything";
  };
  EXPECT_EQ(archive({"[Content_Types].xml", "xl/workbook.xml"}), "an Excel workbook (.xlsx)");
  EXPECT_EQ(archive({"mimetype", "content.xml"}), "an OpenDocument file (.ods)");
  EXPECT_EQ(archive({"model/data.pkl", "model/data/0"}), "a file of torch.save (.pt)");
  EXPECT_EQ(archive({"readme.txt"}), "anything");
  EXPECT_EQ(archive({}), "anything");
}

TEST(Recognise, FoldersByTheNamesOfTheirFiles) {
  const auto folder = [](std::vector<std::string> files) {
    const FileType* type = recognise_folder(files);
    return type ? std::string(type->what) : "anything";
  };
  EXPECT_EQ(folder({"barcodes.tsv.gz", "features.tsv.gz", "matrix.mtx.gz"}), "a 10x folder of counts (matrix.mtx)");
  EXPECT_EQ(folder({"GSM1_matrix.mtx", "GSM1_barcodes.tsv"}), "a 10x folder of counts (matrix.mtx)");
  EXPECT_EQ(folder({"readme.txt", "counts.mtx"}), "a folder with a Matrix Market file (.mtx)");
  EXPECT_EQ(folder({"main_data.hdf5"}), "a folder that Minari wrote");
  EXPECT_EQ(folder({"a.png", "b.csv"}), "anything");
  EXPECT_EQ(folder({}), "anything");
}

TEST(Recognise, ThePlaceTheFindingTheExpectationAndTheFixAreOneLine) {
  const auto line = [](const std::string& head, std::string_view kind) {
    return wrong_kind("a.bin", *recognise(head), kind, "that").lines();
  };
  const std::string png = "\x89PNG\r\n\x1a\n";
  using testing::ElementsAre;
  EXPECT_THAT(
      line(png, "table"),
      ElementsAre("a.bin: found a PNG image, expected that; it is for /data/type \"images\" (to train: ae-train "
                  "--recipe pcb-inspection)"));
  EXPECT_THAT(line(png, "images"),
              ElementsAre("a.bin: found a PNG image, expected that; give it a name that ends in .png"));
  EXPECT_THAT(
      line("a,b\n1,2\n", "images"),
      ElementsAre("a.bin: found a text table, expected that; it is for /data/type \"table\" (to train: ae-train "
                  "--recipe any-table)"));
  EXPECT_THAT(line(kAtoms, "table"),
              ElementsAre(HasSubstr("PDB structure file, expected that; write its coordinates")));
}

TEST(Recognise, TheHeadWaitsForNoSlowWriter) {
  int reads = 0;
  test::MemorySource slow(std::string(10000, 'x'), [&] { return ++reads == 1 ? 4u : 5u; });
  slow.set_ready([&] { return reads < 3; });
  EXPECT_EQ(read_head(slow).size(), 14u);  // 4 are too few to tell anything, 5 more are waited for, 5 more are there
  test::MemorySource fast(std::string(10000, 'x'), [] { return 1000u; });
  EXPECT_EQ(read_head(fast), std::string(4096, 'x'));
  test::MemorySource short_one("ab", [] { return 1u; });
  EXPECT_EQ(read_head(short_one), "ab");
}

TEST(Recognise, TextOfOtherKindsThatIsNoTable) {
  for (const char* text : {"{\"a\": 1}", "[{\"a\":1},{\"a\":2}]\n", "\xef\xbb\xbf\n [\n  [1, 2]]", "[\"a\", \"b\"]",
                           "{\"a\":1}\n{\"a\":2}\n"})
    EXPECT_EQ(what(text), "a JSON file") << text;
  for (const char* text :
       {"<html><table><tr><td>1</td></tr></table></html>", "<!DOCTYPE html>\n<p>", "\n<TABLE border=1>"})
    EXPECT_EQ(what(text), "an HTML page") << text;
  EXPECT_EQ(what("<?xml version=\"1.0\"?>\n<rows/>"), "an XML file");
  for (const char* text : {"[1],[2]\n3,4\n", "{a},{b}\n1,2\n", "<5,<6\n1,2\n", "<tables>,b\n1,2\n", "{\"a\",\"b\"}\n"})
    EXPECT_THAT(what(text), testing::AnyOf("anything", "a text table")) << text;
}

}  // namespace
}  // namespace ae::data::recognise_test
