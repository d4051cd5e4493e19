#include "data/bytes/idx.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "support/byte_sources.hpp"
#include "support/errors.hpp"

namespace ae::data::idx_test {
namespace {

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

std::string idx(char type, const std::vector<std::uint32_t>& shape, const std::string& elements) {
  std::string bytes{'\0', '\0', type, static_cast<char>(shape.size())};
  for (const auto size : shape) bytes += big_endian(size);
  return bytes + elements;
}

IdxArray read(const std::string& bytes, std::size_t at_once = 1 << 20) {
  test::MemorySource source(bytes, [at_once] { return at_once; });
  return read_idx(source);
}

std::string error_of(const std::string& bytes) {
  return test::error_of<InputError>([&] { read(bytes); });
}

TEST(Idx, ReadsShapeAndBytesHoweverSmallTheReads) {
  for (const std::size_t at_once : {1, 3, 1000}) {
    const auto array = read(idx(8, {2, 3, 2}, "abcdefghijkl"), at_once);
    EXPECT_THAT(array.shape, testing::ElementsAre(2, 3, 2));
    EXPECT_EQ(std::string(array.bytes.begin(), array.bytes.end()), "abcdefghijkl");
  }
  EXPECT_THAT(read(idx(8, {3}, std::string("\0\1\2", 3))).bytes, testing::ElementsAre(0, 1, 2));
}

IdxLayout find(const std::string& bytes) { return find_idx(std::make_shared<test::MemoryAccess>(bytes)); }

TEST(Idx, FindsTheElementsInAFile) {
  const auto layout = find(idx(8, {2, 3, 2}, "abcdefghijkl"));
  EXPECT_THAT(layout.shape, testing::ElementsAre(2, 3, 2));
  EXPECT_EQ(layout.offset, 16u);
}

TEST(Idx, EveryPrefixAndEveryLongerFileIsRefused) {
  const std::string whole = idx(8, {2, 2}, "abcd");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(whole.substr(0, length)), "no error");
    EXPECT_THROW(find(whole.substr(0, length)), InputError) << length;
  }
  EXPECT_NE(error_of(whole + "e").find("bytes behind"), std::string::npos);
  EXPECT_THROW(find(whole + "e"), InputError);
}

TEST(Idx, AHostileHeaderTakesNoMemory) {
  EXPECT_NE(error_of(idx(8, {0xffffffff, 0xffffffff, 0xffffffff}, "abc")).find("impossible"), std::string::npos);
  EXPECT_NE(error_of(idx(8, {1u << 31, 16}, "abc")).find("ends too early"), std::string::npos);
  EXPECT_NE(error_of(idx(8, {0, 3}, "")).find("is 0"), std::string::npos);
}

TEST(Idx, OtherTypesAreNamed) {
  EXPECT_NE(error_of(idx(0x0D, {1}, "abcd")).find("floating-point numbers, expected unsigned bytes"),
            std::string::npos);
  EXPECT_NE(error_of("hello world").find("not an IDX file"), std::string::npos);
}

}  // namespace
}  // namespace ae::data::idx_test
