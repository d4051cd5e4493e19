#include "data/bytes/cache_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "base/error.hpp"
#include "memory_rows.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::cache_file_test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Cache : public testing::Test {
 protected:
  std::shared_ptr<const CacheFile> open(std::size_t sections, const CacheFile::Make& make) {
    return CacheFile::open(folder_, key_, sections, reporter_, make);
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_)) found.push_back(entry.path());
    return found;
  }
  static void add(CacheFile::Writer& writer, std::size_t section, const std::string& bytes) {
    writer.add(section, bytes.data(), bytes.size());
  }

  const std::string key_ = std::string(64, 'a');
  const test::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
  RecordingReporter reporter_;
};

// Both larger than what is written at once, so that their pieces alternate in the file.
TEST_F(Cache, SectionsOfKnownSizeAreWrittenSideBySide) {
  constexpr std::size_t kPieces = 1500;
  std::string first, third;
  int made = 0;
  const auto make = [&](CacheFile::Writer& writer, Reporter& reporter) {
    ++made;
    writer.set_size(0, kPieces * 1000);
    writer.set_size(1, 0);
    writer.set_size(2, kPieces * 1001);
    for (std::size_t i = 0; i < kPieces; ++i) {
      const std::string one(1000, static_cast<char>('a' + i % 26)), other(1001, static_cast<char>('A' + i % 23));
      add(writer, 0, one);
      add(writer, 2, other);
      first += one;
      third += other;
    }
    reporter.info("made");
    return CacheFile::Json{{"answer", 42}};
  };
  for (int i = 1; i <= 2; ++i) {
    const auto file = open(3, make);
    EXPECT_TRUE(file->section(0) == first);
    EXPECT_EQ(file->section(1), "");
    EXPECT_TRUE(file->section(2) == third);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file->section(2).data()) % 64, 0u);
    EXPECT_EQ(file->description().at("answer"), 42);
    EXPECT_THAT(reporter_.infos, testing::SizeIs(i));
    EXPECT_THROW(file->array<char>(0, 7), RunError);
    EXPECT_EQ(file->array<char>(2, kPieces * 1001)[0], 'A');
  }
  EXPECT_EQ(made, 1);
}

TEST_F(Cache, ASectionOfUnknownSizeEndsWhereTheNextOneBegins) {
  const auto make = [&](CacheFile::Writer& writer, Reporter&) {
    for (int i = 0; i < 3; ++i) add(writer, 0, std::string(700'001, static_cast<char>('a' + i)));
    add(writer, 1, "end");
    return CacheFile::Json();
  };
  const auto file = open(2, make);
  EXPECT_TRUE(file->section(0) == std::string(700'001, 'a') + std::string(700'001, 'b') + std::string(700'001, 'c'));
  EXPECT_EQ(file->section(1), "end");
}

TEST_F(Cache, WhatIsNotFinishedLeavesNothing) {
  EXPECT_THROW(open(1,
                    [&](CacheFile::Writer& writer, Reporter&) -> CacheFile::Json {
                      add(writer, 0, std::string(3'000'000, 'x'));
                      throw InputError("no");
                    }),
               InputError);
  EXPECT_THAT(files(), IsEmpty());
  const auto of_size = [&](std::size_t size) {
    open(2, [&](CacheFile::Writer& writer, Reporter&) {
      writer.set_size(0, 5);
      add(writer, 0, std::string(size, 'x'));
      add(writer, 1, "y");
      return CacheFile::Json();
    });
  };
  EXPECT_THROW(of_size(4), std::logic_error);
  EXPECT_THROW(of_size(6), std::logic_error);
  EXPECT_THAT(files(), IsEmpty());
  of_size(5);
  EXPECT_THAT(files(), ElementsAre(folder_ / (key_ + ".aecache")));
}

TEST_F(Cache, AnotherNumberOfSectionsIsDamage) {
  open(1, [](CacheFile::Writer&, Reporter&) { return CacheFile::Json("one"); });
  EXPECT_THAT(reporter_.warnings, IsEmpty());
  const auto file = open(2, [](CacheFile::Writer&, Reporter&) { return CacheFile::Json("two"); });
  EXPECT_EQ(file->description(), "two");
  EXPECT_THAT(reporter_.warnings, ElementsAre(HasSubstr("damaged: it belongs to other data")));
}

TEST_F(Cache, ChangedFilesAreNoticed) {
  const fs::path one = folder_ / "one", two = folder_ / "two";
  write_file(one, "1");
  const Unchanged files({one, two});
  files.check();
  write_file(two, "2");
  EXPECT_THAT(test::error_of<InputError>([&] { files.check(); }), HasSubstr("two: changed while it was being read"));
}

}  // namespace
}  // namespace ae::data::cache_file_test
