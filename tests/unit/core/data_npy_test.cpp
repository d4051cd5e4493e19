#include "data/bytes/npy.hpp"
#include "data/images/npy_stack.hpp"
#include "data/tables/npy_rows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/zip.hpp"
#include "support/byte_sources.hpp"
#include "support/deflate.hpp"
#include "support/errors.hpp"

namespace ae::data::npy_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Numbers = std::vector<std::vector<double>>;
using namespace std::string_literals;

// An NPY file as NumPy writes it, from the dictionary's text and the elements' bytes.
std::string npy(const std::string& dictionary, const std::string& elements, int version = 1) {
  std::string text = dictionary;
  const std::size_t start = version == 1 ? 10 : 12;
  while ((start + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string file = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(text.size() >> (8 * i) & 0xff);
  return file + text + elements;
}

std::string dictionary(const std::string& type, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + type + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
}

std::unique_ptr<RowSource> open_bytes(std::string bytes, std::size_t read_size = 1 << 20) {
  return open_npy(std::make_unique<test::MemorySource>(std::move(bytes), [read_size] { return read_size; }));
}

Numbers all_numbers(RowSource& rows) {
  Numbers numbers;
  while (rows.next()) {
    numbers.emplace_back();
    for (std::size_t i = 0; i < rows.columns().size(); ++i) numbers.back().push_back(rows.number(i));
  }
  return numbers;
}

std::string error_of(std::string bytes) {
  return test::error_of<InputError>([&] { all_numbers(*open_bytes(std::move(bytes))); });
}

TEST(NpyRows, FloatsInCOrderAreRows) {
  const auto rows = open_bytes(npy(dictionary("<f4", "(2, 2)"), "\0\0\x80\x3f\0\0\0\xc0\0\0\xc0\x7f\0\0\x80\xff"s));
  EXPECT_THAT(rows->columns(), ElementsAre("f0", "f1"));
  EXPECT_TRUE(rows->has_numbers());
  EXPECT_EQ(rows->layout().raw_header, "f0,f1");
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->number(0), 1.0);
  EXPECT_EQ(rows->number(1), -2.0);
  EXPECT_EQ(rows->where(1), "table.csv: row 0, column \"f1\"");
  ASSERT_TRUE(rows->next());
  EXPECT_TRUE(std::isnan(rows->number(0)));
  EXPECT_EQ(rows->number(1), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(rows->text(0), "nan");
  EXPECT_EQ(rows->text(1), "-inf");
  EXPECT_EQ(rows->row(), 1);
  EXPECT_FALSE(rows->next());
}

TEST(NpyRows, EveryDtypeAndByteOrderReadsItsExtremes) {
  const struct {
    std::string type, bytes, text;
    double number;
  } cases[] = {
      {"|b1", "\x01"s, "1", 1},
      {"|i1", "\x80"s, "-128", -128},
      {"|u1", "\xff"s, "255", 255},
      {"<i2", "\x00\x80"s, "-32768", -32768},
      {">i2", "\x80\x01"s, "-32767", -32767},
      {"<u2", "\xfe\xff"s, "65534", 65534},
      {">u2", "\xff\xfe"s, "65534", 65534},
      {"<i4", "\xff\xff\xff\x7f"s, "2147483647", 2147483647.0},
      {">i4", "\x80\0\0\0"s, "-2147483648", -2147483648.0},
      {"<u4", "\xff\xff\xff\xff"s, "4294967295", 4294967295.0},
      {"<i8", "\xff\xff\xff\xff\xff\xff\xff\x7f"s, "9223372036854775807", 0x1p63},
      {">u8", "\xff\xff\xff\xff\xff\xff\xff\xff"s, "18446744073709551615", 0x1p64},
      {"<f2", "\x01\x00"s, "5.9604645e-08", 0x1p-24},
      {"<f2", "\xff\x7b"s, "65504", 65504},
      {">f2", "\xc0\x00"s, "-2", -2},
      {"<f2", "\x00\xfc"s, "-inf", -std::numeric_limits<double>::infinity()},
      {"<f4", "\xcd\xcc\xcc\x3d"s, "0.1", static_cast<double>(0.1f)},
      {">f4", "\x3d\xcc\xcc\xcd"s, "0.1", static_cast<double>(0.1f)},
      {"<f8", "\x9a\x99\x99\x99\x99\x99\xb9\x3f"s, "0.1", 0.1},
      {">f8", "\x7f\xef\xff\xff\xff\xff\xff\xff"s, "1.7976931348623157e+308", std::numeric_limits<double>::max()},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.type + " " + c.text);
    const auto rows = open_bytes(npy(dictionary(c.type, "(1, 1)"), c.bytes));
    ASSERT_TRUE(rows->next());
    EXPECT_EQ(rows->number(0), c.number);
    EXPECT_EQ(rows->text(0), c.text);
    EXPECT_EQ(rows->raw(0), c.text);
  }
}

TEST(NpyRows, FortranOrderIsTransposed) {
  const std::string elements = "\1\2\3\4\5\6"s;
  EXPECT_EQ(all_numbers(*open_bytes(npy(dictionary("|u1", "(2, 3)", true), elements))),
            (Numbers{{1, 3, 5}, {2, 4, 6}}));
  EXPECT_EQ(all_numbers(*open_bytes(npy(dictionary("|u1", "(2, 3)"), elements))), (Numbers{{1, 2, 3}, {4, 5, 6}}));
}

TEST(NpyRows, OneDimensionIsOneColumn) {
  for (const bool fortran : {false, true})
    EXPECT_EQ(all_numbers(*open_bytes(npy(dictionary("|i1", "(3,)", fortran), "\1\2\3"))), (Numbers{{1}, {2}, {3}}));
}

TEST(NpyRows, VersionsAndKeyOrdersAreAccepted) {
  const std::string other = R"({"shape": (2L, 1L), "fortran_order": False, "descr": "|u1"})";
  for (const int version : {1, 2, 3})
    EXPECT_EQ(all_numbers(*open_bytes(npy(other, "\1\2", version))), (Numbers{{1}, {2}}));
}

TEST(NpyRows, ReadsMayBeCutAnywhere) {
  std::string elements;
  Numbers expected;
  for (int row = 0; row < 100; ++row) {
    expected.emplace_back();
    for (int i = 0; i < 7; ++i) {
      expected.back().push_back(row * 7 + i);
      elements += static_cast<char>((row * 7 + i) & 0xff);
      elements += static_cast<char>((row * 7 + i) >> 8);
    }
  }
  for (const std::size_t size : {1, 3, 13, 64, 5000}) {
    const auto rows = open_bytes(npy(dictionary("<u2", "(100, 7)"), elements), size);
    Numbers found;
    EXPECT_TRUE(rows->ready());
    while (rows->next()) {
      EXPECT_TRUE(rows->ready());
      found.emplace_back();
      for (std::size_t i = 0; i < 7; ++i) found.back().push_back(rows->number(i));
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(NpyRows, AnArrayWithoutRowsHasNone) {
  EXPECT_FALSE(open_bytes(npy(dictionary("<f8", "(0, 3)"), ""))->next());
  EXPECT_FALSE(open_bytes(npy(dictionary("<f8", "(0, 3)", true), ""))->next());
}

TEST(NpyRows, ObjectsAndOtherForeignTypesAreRefusedUnread) {
  EXPECT_THAT(error_of(npy(dictionary("|O", "(1, 1)"), "cos\nsystem\n")), HasSubstr("never executed"));
  EXPECT_THAT(error_of(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234")),
              HasSubstr("structured array"));
  for (const char* type : {"<U3", "<c8", "<f16", "<M8[ns]", "|V4", "|f8", "f4", ""})
    EXPECT_THAT(error_of(npy(dictionary(type, "(1, 1)"), "")), HasSubstr("dtype")) << type;
}

TEST(NpyRows, BadHeadersAreRefused) {
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
  EXPECT_THAT(error_of("PK\3\4nonsense"), HasSubstr("not an NPY file"));
  EXPECT_THAT(error_of("\x93NUMPY\1"), HasSubstr("ends inside"));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(1, 1)"), "").substr(0, 40)), HasSubstr("ends inside"));
  EXPECT_THAT(error_of("\x93NUMPY\x09\0\1\0 "s), HasSubstr("version 9"));
  EXPECT_THAT(error_of("\x93NUMPY\2\0\xff\xff\xff\xff"s), HasSubstr("at most 1 MiB"));
  EXPECT_THAT(error_of(npy("{'descr': '<f8', 'descr': '<f8', }", "")), HasSubstr("repeated key"));
  EXPECT_THAT(error_of(npy("{'descr': '<f8'}", "")), HasSubstr("expected the keys"));
  EXPECT_THAT(error_of(npy("{'descr': __import__('os'), }", "")), HasSubstr("expected"));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(1, -1)"), "")), HasSubstr("expected a size"));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(1, 1)") + " 7", "")), HasSubstr("behind the dictionary"));
}

TEST(NpyRows, ImpossibleShapesAreRefusedBeforeAnyAllocation) {
  EXPECT_THAT(error_of(npy(dictionary("<f8", "()"), "12345678")), HasSubstr("shape ()"));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(2, 2, 2)"), "")),
              AllOf(HasSubstr("shape (2, 2, 2)"), HasSubstr("\"images\"")));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(3, 0)"), "")), HasSubstr("columns"));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(4611686018427387904, 4)"), "")), HasSubstr("impossible shape"));
  EXPECT_THAT(error_of(npy(dictionary("<f8", "(99999999999999999999, 4)"), "")), HasSubstr("expected a size"));
  for (const bool fortran : {false, true})
    EXPECT_THAT(error_of(npy(dictionary("<f8", "(100000000000, 1000)", fortran), "1234")), HasSubstr("ends too early"));
}

TEST(NpyRows, SizesThatDoNotFitAreRefused) {
  for (const bool fortran : {false, true}) {
    EXPECT_THAT(error_of(npy(dictionary("|u1", "(2, 2)", fortran), "123")), HasSubstr("ends too early"));
    EXPECT_THAT(error_of(npy(dictionary("|u1", "(2, 2)", fortran), "12345")), HasSubstr("bytes behind the array"));
  }
}

TEST(NpyWriter, WritesWhatTheReaderReads) {
  const std::vector<float> singles = {0.1f, -2.5f, 1e-30f, std::numeric_limits<float>::quiet_NaN()};
  const std::string file = to_npy(std::span(singles), 2, 2);
  EXPECT_EQ((file.size() - 16) % 64, 0u);
  const auto rows = open_bytes(file);
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->text(0), "0.1");
  EXPECT_EQ(rows->text(1), "-2.5");
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->number(0), static_cast<double>(1e-30f));
  EXPECT_TRUE(std::isnan(rows->number(1)));
  const std::vector<double> doubles = {0.1, 2, 3};
  EXPECT_EQ(all_numbers(*open_bytes(to_npy(std::span(doubles), 1, 3))), (Numbers{{0.1, 2, 3}}));
}

// --- NPZ -------------------------------------------------------------------------------------------------------------

std::string little(std::uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

struct Member {
  std::string name;
  std::string bytes;
  bool deflate = false;
  bool zip64 = false;
  std::uint16_t flags = 0;
  std::int64_t wrong_size = 0;  // added to the directory's size
  std::uint32_t wrong_crc = 0;
};

std::string zip(const std::vector<Member>& members, const std::string& comment = "") {
  std::string file, directory;
  for (const Member& m : members) {
    const std::string data = m.deflate ? test::deflated(m.bytes, -MAX_WBITS) : m.bytes;
    const auto crc = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(m.bytes.data()), static_cast<uInt>(m.bytes.size())) ^ m.wrong_crc);
    const std::uint64_t size = m.bytes.size() + static_cast<std::uint64_t>(m.wrong_size);
    const std::string method = little(m.flags, 2) + little(m.deflate ? 8 : 0, 2) + little(0, 4) + little(crc, 4);
    const std::string sizes64 = little(size, 8) + little(data.size(), 8);
    const std::string sizes =
        m.zip64 ? little(0xffffffff, 4) + little(0xffffffff, 4) : little(data.size(), 4) + little(size, 4);
    const std::string extra = m.zip64 ? little(1, 2) + little(sizes64.size(), 2) + sizes64 : "";
    const std::uint64_t offset = file.size();
    file += "PK\3\4" + little(45, 2) + method + sizes + little(m.name.size(), 2) + little(extra.size(), 2) + m.name +
            extra + data;
    directory += "PK\1\2" + little(45, 2) + little(45, 2) + method + sizes + little(m.name.size(), 2) +
                 little(extra.size(), 2) + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) +
                 little(offset, 4) + m.name + extra;
  }
  const std::uint64_t begin = file.size();
  return file + directory + "PK\5\6" + little(0, 4) + little(members.size(), 2) + little(members.size(), 2) +
         little(directory.size(), 4) + little(begin, 4) + little(comment.size(), 2) + comment;
}

std::unique_ptr<RowSource> open_zip(std::string bytes, const std::string& array = "") {
  return open_npz(std::make_unique<test::MemoryAccess>(std::move(bytes)), array);
}

std::string zip_error(std::string bytes, const std::string& array = "") {
  return test::error_of([&] { all_numbers(*open_zip(std::move(bytes), array)); });
}

const std::string table = npy(dictionary("|u1", "(2, 2)"), "\1\2\3\4");
const std::string vector = npy(dictionary("|u1", "(3,)"), "\1\2\3");

TEST(NpzRows, MembersAreReadStoredDeflatedAndWithLargeSizes) {
  for (const bool deflate : {false, true})
    for (const bool large : {false, true}) {
      const auto rows =
          open_zip(zip({{.name = "x.npy", .bytes = table, .deflate = deflate, .zip64 = large}}, "comment"));
      EXPECT_EQ(rows->name(), "arrays.npz[x.npy]");
      EXPECT_EQ(all_numbers(*rows), (Numbers{{1, 2}, {3, 4}}));
    }
}

TEST(NpzRows, TheOnlyTableOrTheNamedArrayIsRead) {
  const std::string one = zip({{.name = "v.npy", .bytes = vector}, {.name = "x.npy", .bytes = table}});
  EXPECT_EQ(all_numbers(*open_zip(one)), (Numbers{{1, 2}, {3, 4}}));
  EXPECT_EQ(all_numbers(*open_zip(one, "v")), (Numbers{{1}, {2}, {3}}));
  EXPECT_EQ(all_numbers(*open_zip(one, "v.npy")), (Numbers{{1}, {2}, {3}}));
  EXPECT_EQ(all_numbers(*open_zip(zip({{.name = "v.npy", .bytes = vector}}))), (Numbers{{1}, {2}, {3}}));
  const std::string two = zip({{.name = "train.npy", .bytes = table}, {.name = "test.npy", .bytes = table}});
  EXPECT_THAT(zip_error(two), AllOf(HasSubstr("train (2, 2), test (2, 2)"), HasSubstr("/data/array")));
  EXPECT_THAT(zip_error(two, "trian"), AllOf(HasSubstr("did you mean \"train\""), HasSubstr("/data/array")));
  EXPECT_THAT(zip_error(zip({{.name = "sheet.xml", .bytes = "<x/>"}})), HasSubstr("without arrays"));
  EXPECT_EQ(zip_error(zip({{.name = "xl/workbook.xml", .bytes = "<x/>"}})),
            "arrays.npz: found an Excel workbook (.xlsx), expected an NPZ archive of NumPy; export it as CSV");
}

TEST(NpzRows, DamagedArchivesAreRefused) {
  const std::string good = zip({{.name = "x.npy", .bytes = table, .deflate = true}});
  EXPECT_THAT(zip_error(good.substr(0, good.size() - 5)), HasSubstr("damaged ZIP archive"));
  EXPECT_THAT(zip_error("PK\3\4"), HasSubstr("damaged ZIP archive"));
  EXPECT_THAT(zip_error(""), HasSubstr("damaged ZIP archive"));
  EXPECT_THAT(zip_error(zip({{.name = "x.npy", .bytes = table, .flags = 1}})), HasSubstr("encrypted"));
  EXPECT_THAT(zip_error(zip({{.name = "x.npy", .bytes = table, .wrong_crc = 1}})), HasSubstr("wrong checksum"));
  EXPECT_THAT(zip_error(zip({{.name = "x.npy", .bytes = table, .wrong_size = 1}})), HasSubstr("sizes"));
  for (const std::int64_t wrong : {-200, -1, 1, 1000})
    EXPECT_NE(zip_error(zip({{.name = "x.npy", .bytes = table, .deflate = true, .wrong_size = wrong}})), "no error");
  for (std::size_t i = 0; i < good.size(); ++i) {  // no single damaged byte may crash the reader
    std::string bad = good;
    bad[i] = static_cast<char>(~bad[i]);
    zip_error(bad);
  }
}

NpyStack stack_of(std::string bytes) { return read_npy_stack(std::make_unique<test::MemorySource>(std::move(bytes))); }

std::string stack_error(const std::string& type, const std::string& shape, const std::string& elements) {
  return test::error_of<InputError>([&] { stack_of(npy(dictionary(type, shape), elements)); });
}

TEST(NpyStack, PixelsOfEveryTypeKeepTheirNumbers) {
  auto stack = stack_of(npy(dictionary("|u1", "(2, 1, 3)"), "abcdef"));
  EXPECT_EQ(stack.images, 2);
  EXPECT_EQ(stack.height, 1);
  EXPECT_EQ(stack.width, 3);
  EXPECT_EQ(stack.channels, 1);
  EXPECT_EQ(stack.type, PixelType::u8);
  EXPECT_EQ(std::string(stack.bytes.begin(), stack.bytes.end()), "abcdef");
  stack = stack_of(npy(dictionary(">u2", "(1, 1, 1, 2)"), "\1\2\3\4"));
  EXPECT_EQ(stack.channels, 2);
  EXPECT_EQ(stack.type, PixelType::u16);
  EXPECT_THAT(stack.bytes, ElementsAre(2, 1, 4, 3));  // little-endian machine
  stack = stack_of(npy(dictionary("|b1", "(1, 1, 2)"), "\1\0"s));
  EXPECT_THAT(stack.bytes, ElementsAre(255, 0));
  const double numbers[] = {0.5, 1};
  stack = stack_of(npy(dictionary("<f8", "(1, 2, 1)"), {reinterpret_cast<const char*>(numbers), sizeof numbers}));
  EXPECT_EQ(stack.type, PixelType::f32);
  float first = 0;
  std::memcpy(&first, stack.bytes.data(), sizeof first);
  EXPECT_EQ(first, 0.5f);
}

NpyStack stack_in_place(std::string bytes) {
  return open_npy_stack(std::make_shared<test::MemoryAccess>(std::move(bytes)));
}

TEST(NpyStack, PixelsInPlaceAreTheSame) {
  const float numbers[] = {0.5f, 0, 0.1f, 1};
  const double doubles[] = {0.5, 0, 0.1, 1};
  const std::vector<std::pair<std::string, std::string>> arrays{
      {"|u1", "abcd"},
      {"<u2", "abcdefgh"},
      {">u2", "abcdefgh"},
      {"=u2", "abcdefgh"},
      {"|b1", "\1\0\1\1"s},
      {"<f2", "\0\1\0\2\0\3\0\4"s},
      {"<f4", {reinterpret_cast<const char*>(numbers), sizeof numbers}},
      {"<f8", {reinterpret_cast<const char*>(doubles), sizeof doubles}},
  };
  for (const auto& [type, elements] : arrays) {
    const std::string bytes = npy(dictionary(type, "(2, 1, 1, 2)"), elements);
    const auto held = stack_of(bytes), in_place = stack_in_place(bytes);
    EXPECT_EQ(in_place.file != nullptr, type == "|u1" || type == "<u2" || type == "=u2" || type == "<f4") << type;
    EXPECT_EQ(in_place.bytes.empty(), in_place.file != nullptr);
    for (std::int64_t i = 0; i < 2; ++i) {
      std::vector<std::uint8_t> expected(held.image_bytes()), found(in_place.image_bytes(), 99);
      held.read(i, expected.data());
      in_place.read(i, found.data());
      EXPECT_EQ(found, expected) << type;
      const auto begin = held.bytes.begin() + i * static_cast<std::ptrdiff_t>(held.image_bytes());
      EXPECT_EQ(found, std::vector<std::uint8_t>(begin, begin + static_cast<std::ptrdiff_t>(held.image_bytes())));
    }
  }
}

TEST(NpyStack, WhatIsNoStackIsRefusedInPlaceToo) {
  const float numbers[] = {0, 1, 0.5f, std::numeric_limits<float>::infinity()};
  const std::string floats(reinterpret_cast<const char*>(numbers), sizeof numbers);
  const float too_large[] = {0, 1, 0.5f, 2};
  const std::string others(reinterpret_cast<const char*>(too_large), sizeof too_large);
  for (const auto& bytes :
       {npy(dictionary("|u1", "(1, 2, 3)"), "abcde"), npy(dictionary("|u1", "(1, 2, 3)"), "abcdefg"),
        npy(dictionary("<u2", "(1, 2, 3)"), "abcdefghijk"), npy(dictionary("<f4", "(2, 1, 2)"), floats),
        npy(dictionary("<f4", "(2, 1, 2)"), others), npy(dictionary("|u1", "(2, 3)"), "abcdef"),
        npy(dictionary("<i4", "(1, 1, 1)"), "abcd")}) {
    const std::string expected = test::error_of<InputError>([&] { stack_of(bytes); });
    const std::string found = test::error_of<InputError>([&] { stack_in_place(bytes); });
    ASSERT_NE(expected.find(':'), std::string::npos) << expected;
    ASSERT_NE(found.find(':'), std::string::npos) << found;
    EXPECT_EQ(found.substr(found.find(':')), expected.substr(expected.find(':')));
  }
}

TEST(NpyStack, WhatIsNoStackIsRefused) {
  EXPECT_EQ(
      stack_error("<i8", "(2, 3)", "abcdef"),
      "table.csv: an array of shape (2, 3) and dtype \"<i8\"; expected (images, height, width) or (images, height, "
      "width, channels); if it is a table, it is for /data/type \"table\" (to train: ae-train --recipe any-table)");
  EXPECT_THAT(stack_error("|u1", "(1, 1, 1, 1, 1)", "a"), Not(HasSubstr("\"table\"")));
  EXPECT_THAT(stack_error("<i4", "(1, 1, 1)", "abcd"), HasSubstr("expected pixels of type"));
  EXPECT_THAT(stack_error("|u1", "(1, 1, 1, 65)", std::string(65, 'a')), HasSubstr("65 channels"));
  EXPECT_THAT(stack_error("|u1", "(1, 2, 3)", "abcde"), HasSubstr("ends too early"));
  EXPECT_THAT(stack_error("|u1", "(1, 2, 3)", "abcdefg"), HasSubstr("behind the array's end"));
  EXPECT_THAT(stack_error("|u1", "(0, 2, 3)", ""), HasSubstr("impossible shape"));
  EXPECT_THAT(stack_error("|u1", "(4294967296, 4294967296, 4294967296)", ""), HasSubstr("impossible shape"));
  EXPECT_THAT(stack_error("|u1", "(1048576, 64, 64)", "a"), HasSubstr("ends too early"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(stack_error("<f4", "(1, 1, 1)", {reinterpret_cast<const char*>(&nan), sizeof nan}), HasSubstr("nan"));
}

// What is said of one number of a stack of two images of 1 x 2 pixels.
std::string pixel_error(double number) {
  const double numbers[] = {0, 1, 0.5, number};
  return stack_error("<f8", "(2, 1, 2)", {reinterpret_cast<const char*>(numbers), sizeof numbers});
}

TEST(NpyStack, FloatPixelsLieBetweenZeroAndOne) {
  for (const double good : {0.0, 1.0, 1 + 9e-7, -9e-7, 0.3}) EXPECT_EQ(pixel_error(good), "no error") << good;
  for (const double bad : {1 + 2e-6, -2e-6, 255.0, -1e30}) {
    EXPECT_THAT(pixel_error(bad), AllOf(StartsWith("table.csv: image 1 holds " + number_text(bad) + "; expected float"),
                                        HasSubstr(bad < 0 ? "by its smallest and largest" : "by 255"),
                                        HasSubstr("reshape it to (2, 2): then it is for /data/type \"table\"")));
  }
  // Backbone coordinates of one protein: 16 residues, 4 atoms, x, y, z.
  const std::vector<float> coordinates(16 * 4 * 3, 17.25f);
  EXPECT_THAT(stack_error("<f4", "(1, 16, 4, 3)",
                          {reinterpret_cast<const char*>(coordinates.data()), coordinates.size() * sizeof(float)}),
              AllOf(HasSubstr("image 0 holds 17.25"), HasSubstr("reshape it to (1, 192)")));
}

TEST(NpyStack, ChannelsStandLast) {
  for (const char* shape : {"(9, 3, 32, 32)", "(9, 1, 28, 28)", "(9, 4, 8, 5)", "(9, 3, 224, 224)"}) {
    EXPECT_THAT(stack_error("|u1", shape, ""),
                AllOf(HasSubstr("shape "s + shape + ", which looks like channels first"), HasSubstr("moveaxis")));
  }
  for (const char* shape : {"(9, 3, 32, 3)", "(9, 1, 4, 8)", "(9, 2, 32, 32)", "(9, 32, 32, 16)", "(9, 3, 32)"})
    EXPECT_THAT(stack_error("|u1", shape, ""), HasSubstr("ends too early")) << shape;
}

TEST(NpyStack, TheOnlyStackOfAnArchiveIsRead) {
  const std::string images = npy(dictionary("|u1", "(2, 1, 3)"), "abcdef");
  const auto open = [](std::string bytes, const std::string& array) {
    return read_npz_stack(std::make_unique<test::MemoryAccess>(std::move(bytes)), array);
  };
  const std::string archive = zip({{.name = "y.npy", .bytes = vector}, {.name = "x.npy", .bytes = images}});
  EXPECT_EQ(open(archive, "").images, 2);
  EXPECT_EQ(open(archive, "x").width, 3);
  EXPECT_THROW(open(archive, "y"), InputError);
  EXPECT_THROW(open(zip({{.name = "y.npy", .bytes = vector}, {.name = "z.npy", .bytes = vector}}), ""), InputError);
}

}  // namespace
}  // namespace ae::data::npy_test
