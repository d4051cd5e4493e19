#include "data/bytes/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::safetensors_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

NamedArray floats(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  return NamedArray::of(Dtype::f32, std::move(shape), values.data(), values.size());
}

Safetensors example() {
  const std::vector<double> doubles = {0.1, -2.5e300};
  const std::vector<std::int64_t> integers = {-1, std::numeric_limits<std::int64_t>::max()};
  Safetensors contents;
  contents.metadata = {{"config", "{\"a\": \"\\u00e9\"}\n"}, {"empty", ""}};
  contents.arrays["encoder.0.weight"] = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  contents.arrays["scale"] = NamedArray::of(Dtype::f64, {2}, doubles.data(), 2);
  contents.arrays["codes"] = NamedArray::of(Dtype::i64, {1, 2}, integers.data(), 2);
  contents.arrays["flags"] = {Dtype::u8, {3}, std::string("\x00\x01\xff", 3)};
  contents.arrays["scalar"] = floats({}, {42});
  contents.arrays["none"] = floats({0, 7}, {});
  return contents;
}

// A file by hand, byte for byte: the format's own description, not our writer.
std::string file(const std::string& header, const std::string& buffer) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return bytes + header + buffer;
}

std::string complaint(const std::string& bytes) {
  const auto lines = test::errors_of<InputError>([&] { parse_safetensors(bytes, "m.safetensors"); });
  if (lines.empty()) return "no error";
  EXPECT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines.front(), StartsWith("m.safetensors: "));
  return lines.front();
}

std::string complaint_about(const std::string& header, std::size_t buffer_size) {
  return complaint(file(header, std::string(buffer_size, '\0')));
}

constexpr const char* good_entry = R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

TEST(Safetensors, RoundTripKeepsEveryByte) {
  const Safetensors contents = example();
  const Safetensors again = parse_safetensors(to_bytes(contents), "m");
  EXPECT_EQ(again.metadata, contents.metadata);
  ASSERT_EQ(again.arrays.size(), contents.arrays.size());
  for (const auto& [name, array] : contents.arrays) {
    EXPECT_EQ(again.arrays.at(name).dtype, array.dtype) << name;
    EXPECT_EQ(again.arrays.at(name).shape, array.shape) << name;
    EXPECT_EQ(again.arrays.at(name).bytes, array.bytes) << name;
  }
  EXPECT_EQ(to_bytes(again), to_bytes(contents));
}

TEST(Safetensors, EmptyContentsRoundTrip) {
  const Safetensors again = parse_safetensors(to_bytes({}), "m");
  EXPECT_TRUE(again.metadata.empty());
  EXPECT_TRUE(again.arrays.empty());
}

TEST(Safetensors, WrittenFileFollowsTheFormat) {
  const std::string bytes = to_bytes(example());
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  EXPECT_EQ(header_size % 8, 0u);
  const auto header = nlohmann::json::parse(bytes.substr(8, header_size));
  EXPECT_EQ(header["__metadata__"]["empty"], "");
  EXPECT_EQ(header["encoder.0.weight"]["dtype"], "F32");
  EXPECT_EQ(header["encoder.0.weight"]["shape"], (std::vector<int>{2, 3}));
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string dtype = entry["dtype"];
    const std::uint64_t width = dtype == "U8" ? 1 : dtype == "F32" ? 4 : 8;
    EXPECT_EQ(entry["data_offsets"][0].get<std::uint64_t>() % width, 0u) << name << " is not aligned";
  }
  const auto begin = header["encoder.0.weight"]["data_offsets"][0].get<std::size_t>();
  float second = 0;
  std::memcpy(&second, bytes.data() + 8 + header_size + begin + 4, 4);
  EXPECT_EQ(second, 2.0f);
}

TEST(Safetensors, HandWrittenFileIsRead) {
  const std::string buffer("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8);  // 1, -2
  const Safetensors contents = parse_safetensors(
      file(R"({"__metadata__":{"format":"pt"},"w":{"shape":[2,1],"dtype":"F32","data_offsets":[0,8]}}    )", buffer),
      "m");
  EXPECT_EQ(contents.metadata.at("format"), "pt");
  EXPECT_EQ(contents.arrays.at("w").shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(contents.arrays.at("w").bytes, buffer);
}

TEST(Safetensors, WriterRefusesAnArrayThatDoesNotFitItsShape) {
  Safetensors contents;
  contents.arrays["w"] = floats({3}, {1, 2});
  EXPECT_THROW(to_bytes(contents), std::logic_error);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string bytes = to_bytes(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(complaint(bytes.substr(0, size)), "no error") << size;
  }
}

TEST(Safetensors, TrailingBytesAreRefused) {
  EXPECT_THAT(complaint(to_bytes(example()) + "x"), HasSubstr("1 bytes after the last tensor belong to none"));
  EXPECT_THAT(complaint_about("{}", 5), HasSubstr("5 bytes after the last tensor"));
}

TEST(Safetensors, ForeignFilesAreRefused) {
  EXPECT_THAT(complaint(""), HasSubstr("0 bytes long; expected at least 8"));
  EXPECT_THAT(complaint("id,score\n1,2\n"), HasSubstr("announce a header of"));
  EXPECT_THAT(complaint(std::string(64, '\0')), HasSubstr("does not begin with \"{\""));
  EXPECT_THAT(complaint(std::string(8, '\xff')), HasSubstr("header of 18446744073709551615 bytes; expected at most 0"));
}

TEST(Safetensors, HeaderMustBeAnObjectOfJson) {
  EXPECT_THAT(complaint_about("[]", 0), HasSubstr("does not begin with \"{\""));
  EXPECT_THAT(complaint_about(" {}", 0), HasSubstr("does not begin with \"{\""));
  EXPECT_THAT(complaint_about("{]", 0), HasSubstr("not valid JSON at byte 10"));
  EXPECT_THAT(complaint_about("{} {}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(complaint_about("{\"\xff\":1}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(complaint_about("{\"w\":NaN}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(complaint_about(std::string("{}\0x", 4), 0), HasSubstr("found a NUL byte"));
}

TEST(Safetensors, DeepNestingIsRefusedWithoutRecursion) {
  std::string lists, objects;
  for (int i = 0; i < 1'000'000; ++i) {
    lists += '[';
    objects += "{\"a\":";
  }
  EXPECT_THAT(complaint_about("{\"w\":" + lists, 0), HasSubstr("tensor \"w\": found a list; expected an object"));
  EXPECT_THAT(complaint_about(objects, 0), HasSubstr("tensor \"a\": unknown key \"a\""));
  EXPECT_THAT(complaint_about("{\"w\":{\"shape\":" + lists, 0), HasSubstr("\"shape\": found a list"));
}

TEST(Safetensors, DuplicateNamesAreRefused) {
  EXPECT_THAT(complaint_about(std::string("{") + good_entry + "," + good_entry + "}", 8),
              HasSubstr("tensor \"w\": is there twice"));
  EXPECT_THAT(complaint_about(R"({"__metadata__":{"a":"1","a":"2"}})", 0), HasSubstr("metadata \"a\" is there twice"));
  EXPECT_THAT(complaint_about(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("is there twice"));
  EXPECT_THAT(complaint_about(R"({"w":{"dtype":"F32","dtype":"F32"}})", 0), HasSubstr("\"dtype\" is there twice"));
  EXPECT_THAT(complaint_about(R"({"w":{"shape":[1],"shape":[1]}})", 0), HasSubstr("\"shape\" is there twice"));
  EXPECT_THAT(complaint_about(R"({"w":{"data_offsets":[0,1],"data_offsets":[0,1]}})", 0),
              HasSubstr("\"data_offsets\" is there twice"));
}

TEST(Safetensors, MetadataHoldsStringsOnly) {
  for (const char* value : {"1", "-1", "1.5", "true", "null", "[]", "{}"}) {
    EXPECT_THAT(complaint_about(std::string(R"({"__metadata__":{"k":)") + value + "}}", 0),
                HasSubstr("; expected a string"));
  }
  for (const char* value : {"1", "\"x\"", "[]", "null"}) {
    EXPECT_THAT(complaint_about(std::string(R"({"__metadata__":)") + value + "}", 0),
                HasSubstr("expected an object of strings"));
  }
}

TEST(Safetensors, TensorEntryMustBeComplete) {
  EXPECT_THAT(complaint_about(R"({"w":{"shape":[2],"data_offsets":[0,8]}})", 8), HasSubstr("has no \"dtype\""));
  EXPECT_THAT(complaint_about(R"({"w":{"dtype":"F32","data_offsets":[0,8]}})", 8), HasSubstr("has no \"shape\""));
  EXPECT_THAT(complaint_about(R"({"w":{"dtype":"F32","shape":[2]}})", 8), HasSubstr("has no \"data_offsets\""));
  EXPECT_THAT(complaint_about(R"({"w":{"dtyp":"F32"}})", 8), HasSubstr("unknown key \"dtyp\""));
  EXPECT_THAT(complaint_about(R"({"w":3})", 0), HasSubstr("tensor \"w\": found 3; expected an object with"));
}

std::string with_dtype(const std::string& dtype) {
  return R"({"w":{"dtype":)" + dtype + R"(,"shape":[2],"data_offsets":[0,8]}})";
}

TEST(Safetensors, UnknownDtypeIsRefused) {
  EXPECT_THAT(complaint_about(with_dtype("\"BF16\""), 8),
              HasSubstr(R"("dtype": found "BF16"; expected F32, F64, I64 or U8)"));
  EXPECT_THAT(complaint_about(with_dtype("\"f32\""), 8), HasSubstr("found \"f32\""));
  EXPECT_THAT(complaint_about(with_dtype("7"), 8), HasSubstr("\"dtype\": found 7"));
  EXPECT_THAT(complaint_about(with_dtype("[]"), 8), HasSubstr("\"dtype\": found a list"));
}

std::string with_shape(const std::string& shape) {
  return R"({"w":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,8]}})";
}

TEST(Safetensors, ImpossibleShapesAreRefused) {
  EXPECT_EQ(complaint_about(with_shape("[2]"), 8), "no error");
  for (const char* shape : {"[-2]", "[2.0]", "[1e300]", "[\"2\"]", "[null]", "[true]", "[[2]]", "2", "{}", "\"2\"",
                            "[18446744073709551615]", "[9223372036854775808]", "[99999999999999999999999]"}) {
    EXPECT_THAT(complaint_about(with_shape(shape), 8), HasSubstr("expected a list of whole numbers of at least 0"))
        << shape;
  }
  for (const char* shape : {"[9223372036854775807]", "[4294967296,4294967296]", "[4611686018427387904,4,0]"}) {
    EXPECT_THAT(complaint_about(with_shape(shape), 8), HasSubstr("is too large for any memory")) << shape;
  }
  EXPECT_THAT(complaint_about(with_shape("[3]"), 8),
              HasSubstr("has 8 bytes of data; expected 12 for shape [3] of F32"));
  EXPECT_THAT(complaint_about(with_shape("[]"), 8), HasSubstr("expected 4 for shape []"));
  EXPECT_THAT(complaint_about(with_shape("[0]"), 8), HasSubstr("expected 0"));
}

TEST(Safetensors, ALyingShapeAllocatesNothing) {
  // 2^61 bytes claimed and consistent with its offsets, but not with the file.
  EXPECT_THAT(complaint_about(
                  R"({"w":{"dtype":"U8","shape":[2305843009213693952],"data_offsets":[0,2305843009213693952]}})", 8),
              HasSubstr("do not lie in the 8 bytes of data"));
}

std::string with_offsets(const std::string& offsets) {
  return R"({"w":{"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}}";
}

TEST(Safetensors, WrongOffsetsAreRefused) {
  for (const char* offsets : {"[0]", "[]", "[0,8,8]", "[0,-8]", "[0,8.0]", "8", "[0,\"8\"]", "[[0,8]]", "{}"}) {
    EXPECT_THAT(complaint_about(with_offsets(offsets), 8), HasSubstr("expected a list of two whole numbers"))
        << offsets;
  }
  for (const char* offsets : {"[8,0]", "[0,9]", "[8,16]", "[18446744073709551608,0]", "[0,18446744073709551615]"}) {
    EXPECT_THAT(complaint_about(with_offsets(offsets), 8), HasSubstr("do not lie in")) << offsets;
  }
}

std::string pair(const std::string& first, const std::string& second) {
  return R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + first +
         R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + second + "}}";
}

TEST(Safetensors, TensorsCoverTheBufferExactlyOnce) {
  EXPECT_EQ(complaint_about(pair("[0,8]", "[8,16]"), 16), "no error");
  EXPECT_EQ(complaint_about(pair("[8,16]", "[0,8]"), 16), "no error");
  EXPECT_THAT(complaint_about(pair("[0,8]", "[4,12]"), 12), HasSubstr("tensors overlap"));
  EXPECT_THAT(complaint_about(pair("[0,8]", "[0,8]"), 8), HasSubstr("tensors overlap"));
  EXPECT_THAT(complaint_about(pair("[0,8]", "[9,17]"), 17), HasSubstr("there is a gap"));
  EXPECT_THAT(complaint_about(pair("[1,9]", "[9,17]"), 17), HasSubstr("there is a gap"));
}

TEST(Safetensors, NonFiniteValuesAreNamed) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Safetensors contents;
  contents.arrays["w"] = floats({3}, {1, 2, nan});
  EXPECT_THAT(complaint(to_bytes(contents)), HasSubstr("tensor \"w\": value 2 is nan; expected finite numbers"));
  contents.arrays["w"] = NamedArray::of(Dtype::f64, {1}, &infinity, 1);
  EXPECT_THAT(complaint(to_bytes(contents)), HasSubstr("tensor \"w\": value 0 is inf"));
  contents.arrays["w"] = {Dtype::u8, {4}, std::string(4, '\xff')};
  EXPECT_EQ(complaint(to_bytes(contents)), "no error");
}

TEST(Safetensors, HostileNamesStayOneLine) {
  const std::string text = complaint_about(R"({"a\nb\u001b[2J":3})", 0);
  EXPECT_THAT(text, HasSubstr(R"(tensor "a\nb\x1b[2J")"));
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

// Whatever single byte is damaged, the file is refused or read as something of the same form; it never crashes.
TEST(Safetensors, SurvivesEveryDamagedHeaderByte) {
  const std::string bytes = to_bytes(example());
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  for (std::size_t i = 0; i < 8 + header_size; ++i) {
    for (const int flip : {1, 2, 16, 128, 255}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      try {
        parse_safetensors(damaged, "m");
      } catch (const InputError&) {
      }
    }
  }
}

class SafetensorsFile : public ::testing::Test {
 protected:
  const test::TemporaryFolder temporary;
  const std::filesystem::path& folder = temporary.path();
};

std::string file_complaint(const std::filesystem::path& path) {
  return test::error_of<InputError>([&] { read_safetensors(path); });
}

TEST(Safetensors, SealedContentsAreRefusedAfterAnyDamage) {
  Safetensors contents = example();
  seal(contents);
  const std::string whole = to_bytes(contents);
  EXPECT_EQ(parse_safetensors(whole, "m.safetensors").metadata, contents.metadata);
  const auto same = [&](const Safetensors& read) {
    if (read.arrays.size() != contents.arrays.size()) return false;
    for (const auto& [name, array] : contents.arrays) {
      const auto found = read.arrays.find(name);
      if (found == read.arrays.end() || found->second.shape != array.shape || found->second.bytes != array.bytes)
        return false;
    }
    return std::all_of(contents.metadata.begin(), contents.metadata.end(),
                       [&](const auto& item) { return item.first == "sha256" || read.metadata.contains(item.first); });
  };
  for (std::size_t at = 8; at < whole.size(); ++at) {
    for (const int bit : {0, 1, 5}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      try {
        // What is read in spite of the damage is what was written: only the seal's own name can have gone.
        EXPECT_TRUE(same(parse_safetensors(damaged, "m.safetensors"))) << "byte " << at << ", bit " << bit;
      } catch (const InputError&) {
      }
    }
  }
}

TEST_F(SafetensorsFile, IsReadFromDisk) {
  Safetensors contents = example();
  seal(contents);
  const std::string whole = to_bytes(contents);
  write_file(folder / "m.safetensors", whole);
  EXPECT_EQ(to_bytes(read_safetensors(folder / "m.safetensors")), whole);
  // A tensor at a time or from memory: the same complaint about what is wrong.
  for (const std::size_t at : {std::size_t{0}, std::size_t{9}, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    write_file(folder / "m.safetensors", damaged);
    const std::string name = (folder / "m.safetensors").string();
    EXPECT_EQ(file_complaint(name), test::error_of<InputError>([&] { parse_safetensors(damaged, name); })) << at;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{30}, whole.size() - 1}) {
    write_file(folder / "m.safetensors", whole.substr(0, size));
    EXPECT_NE(file_complaint(folder / "m.safetensors"), "no error") << size;
  }
}

TEST_F(SafetensorsFile, MissingFileAndFolderAreInputErrors) {
  EXPECT_THAT(file_complaint(folder / "none"), HasSubstr("none: cannot read: No such file or directory"));
  EXPECT_THAT(file_complaint(folder), HasSubstr("cannot read: Is a directory"));
}

TEST_F(SafetensorsFile, HugeForeignFileIsRefusedFromItsFirstBytes) {
  write_file(folder / "huge.csv", "id,score,label\n");
  std::filesystem::resize_file(folder / "huge.csv", 1ull << 40);  // sparse; reading it would take minutes
  EXPECT_THAT(file_complaint(folder / "huge.csv"), HasSubstr("not a complete safetensors file"));
}

}  // namespace
}  // namespace ae::data::safetensors_test
