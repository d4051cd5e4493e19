#include "data/bytes/source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "data/bytes/npy.hpp"
#include "data/images/npy_stack.hpp"
#include "data/tables/npy_rows.hpp"
#include "data/tables/rows.hpp"
#include "support/deflate.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::source_test {
namespace {

using test::gzip;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Sources : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  const test::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
};

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);  // as the zstd program does
  out.resize(ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size()));
  ZSTD_freeCCtx(context);
  return out;
}

std::string read_all(ByteSource& source, std::size_t step = 100'000) {
  std::string all, part(step, '\0');
  while (const std::size_t count = source.read(part.data(), part.size())) all.append(part, 0, count);
  return all;
}

std::string read_all(const std::filesystem::path& path) { return read_all(*ByteSource::open(path)); }

std::string error_of(const std::filesystem::path& path) {
  return test::error_of<InputError>([&] { read_all(path); });
}

std::string long_text() {
  std::string text;
  for (int i = 0; text.size() < 1'000'000; ++i) text += std::to_string(i * 7919 % 100003) + (i % 9 ? "," : "\n");
  return text;
}

TEST_F(Sources, PlainAndCompressedBytesAreTheSame) {
  const std::string text = long_text();
  for (const std::string& bytes : {text, std::string("x"), std::string("12")}) {
    EXPECT_EQ(read_all(file("plain", bytes)), bytes);
    EXPECT_EQ(read_all(file("renamed.csv", gzip(bytes))), bytes);
    EXPECT_EQ(read_all(file("renamed.txt", zstd(bytes))), bytes);
  }
  EXPECT_EQ(read_all(file("empty", "")), "");
  EXPECT_EQ(read_all(file("empty.gz", gzip(""))), "");
  EXPECT_EQ(read_all(file("empty.zst", zstd(""))), "");
}

TEST_F(Sources, ConcatenatedMembersAreOneStream) {
  const std::string text = long_text();
  const std::string block(256 * 1024, 'z');  // ends exactly where an output block does
  EXPECT_EQ(read_all(file("two.gz", gzip(text) + gzip("end"))), text + "end");
  EXPECT_EQ(read_all(file("two.zst", zstd(text) + zstd("end"))), text + "end");
  EXPECT_EQ(read_all(file("exact.gz", gzip(block) + gzip(block))), block + block);
  EXPECT_EQ(read_all(file("exact.zst", zstd(block) + zstd(block))), block + block);
  EXPECT_EQ(read_all(file("padded.gz", gzip("abc") + std::string(1000, '\0'))), "abc");
}

TEST_F(Sources, TruncatedAndCorruptDataNameTheFile) {
  const std::string text = long_text();
  for (const std::string& bytes : {gzip(text), zstd(text)}) {
    EXPECT_THAT(error_of(file("cut", bytes.substr(0, bytes.size() / 2))),
                AllOf(HasSubstr("/cut: "), HasSubstr("ends too early")));
    EXPECT_THAT(error_of(file("cut", bytes.substr(0, bytes.size() - 1))), HasSubstr("ends too early"));
    EXPECT_THAT(error_of(file("junk", bytes + "junk behind it")), HasSubstr("corrupt"));
    std::string flipped = bytes;
    for (std::size_t i = bytes.size() / 2; i < bytes.size() / 2 + 50; ++i) flipped[i] = static_cast<char>(~flipped[i]);
    EXPECT_THAT(error_of(file("flipped", flipped)), AllOf(HasSubstr("/flipped: "), HasSubstr("corrupt")));
  }
}

TEST_F(Sources, MissingFilesAndFoldersAreInputErrors) {
  EXPECT_THAT(error_of(folder_ / "missing.csv"), AllOf(HasSubstr("missing.csv"), HasSubstr("No such file")));
  EXPECT_THAT(error_of(folder_), HasSubstr("Is a directory"));
}

TEST_F(Sources, PositionsReachTheSizeOnDisk) {
  const std::string text = long_text();
  for (const std::string& bytes : {text, gzip(text), zstd(text)}) {
    const auto source = ByteSource::open(file("f", bytes));
    EXPECT_EQ(source->size(), bytes.size());
    read_all(*source);
    EXPECT_EQ(source->position(), bytes.size());
  }
}

// A named pipe with its writing end.
class Pipe {
 public:
  explicit Pipe(const std::filesystem::path& path) : path_(path) { ::mkfifo(path.c_str(), 0600); }
  void open_both(std::unique_ptr<ByteSource>& reader, const std::string& first) {
    std::thread writer([&] {
      out_.open(path_, std::ios::binary);
      write(first);
    });
    reader = ByteSource::open(path_);
    writer.join();
  }
  void write(const std::string& bytes) { out_ << bytes << std::flush; }
  void close() { out_.close(); }

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

TEST_F(Sources, APipeIsReadyOnlyWhenSomethingIsInIt) {
  Pipe pipe(folder_ / "pipe");
  std::unique_ptr<ByteSource> source;
  pipe.open_both(source, "1234");
  std::string buffer(10, '\0');
  ASSERT_EQ(source->read(buffer.data(), 10), 4u);
  EXPECT_FALSE(source->ready());
  pipe.write("56");
  EXPECT_TRUE(source->ready());
  EXPECT_EQ(source->read(buffer.data(), 10), 2u);
  pipe.close();
  EXPECT_TRUE(source->ready());
  EXPECT_EQ(source->read(buffer.data(), 10), 0u);
}

TEST_F(Sources, ACompressedPipeIsReadyOnlyWhenItsBytesYieldText) {
  for (const std::string& bytes : {gzip("hello"), zstd("hello")}) {
    std::filesystem::remove(folder_ / "pipe");
    Pipe pipe(folder_ / "pipe");
    std::unique_ptr<ByteSource> source;
    pipe.open_both(source, bytes.substr(0, 5));
    EXPECT_FALSE(source->ready());
    pipe.write(bytes.substr(5));
    EXPECT_TRUE(source->ready());
    std::string buffer(10, '\0');
    EXPECT_EQ(source->read(buffer.data(), 10), 5u);
    EXPECT_FALSE(source->ready());
    pipe.close();
    EXPECT_EQ(source->read(buffer.data(), 10), 0u);
  }
}

// In a child process, for the flag stays set.
TEST_F(Sources, AStopSignalEndsTheWaitForAPipe) {
  const auto wait_and_stop = [&] {
    install_stop_signals();
    Pipe pipe(folder_ / "pipe");
    std::unique_ptr<ByteSource> source;
    pipe.open_both(source, "1234");
    std::thread killer([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ::kill(::getpid(), SIGTERM);
    });
    int code = 1;
    try {
      read_all(*source);
    } catch (const Interrupted& interrupted) {
      code = interrupted.signal == SIGTERM ? 42 : 2;
    }
    killer.join();
    std::_Exit(code);
  };
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(wait_and_stop(), ::testing::ExitedWithCode(42), "");
}

// --- open_rows -------------------------------------------------------------------------------------------------------

TEST_F(Sources, RowsAreOpenedByContentAndName) {
  const std::vector<float> values = {1, 2};
  const std::string array = to_npy(std::span(values), 1, 2);
  EXPECT_TRUE(open_rows(file("array.csv", array))->has_numbers());
  EXPECT_TRUE(open_rows(file("array.npy.gz", gzip(array)))->has_numbers());
  const auto table = open_rows(file("table.csv.zst", zstd("a;b\n1;2\n")));
  EXPECT_THAT(table->columns(), ElementsAre("a", "b"));
  EXPECT_EQ(open_rows(file("a.tsv", "a\tb,c\n1\t2\n"))->columns().size(), 2u);
  EXPECT_EQ(open_rows(file("a.tsv.gz", gzip("a\tb,c\n1\t2\n")))->columns().size(), 2u);
  EXPECT_THAT(open_rows(file("header.csv", "HEADER,data_x\nATOM,1\n"))->columns(), ElementsAre("HEADER", "data_x"));
  // A table that is wrongly taken for something else can still be read.
  const std::string atom = "ATOM      1  N   THR A   1      17.047  14.099   3.625\n";
  EXPECT_THROW(open_rows(file("atoms.csv", atom + atom)), InputError);
  EXPECT_EQ(open_rows(file("atoms.csv", atom + atom), {.type = "csv", .header = "no"})->columns().size(), 1u);
}

TEST_F(Sources, WrongKindsOfFilesAreRefused) {
  const auto error = [&](const std::filesystem::path& path, const std::string& type = "auto") {
    return test::error_of([&] { open_rows(path, {.type = type}); });
  };
  EXPECT_THAT(error(file("a.npy", "a,b\n1,2\n")), HasSubstr("not an NPY file"));
  EXPECT_THAT(error(file("a.npz", "a,b\n1,2\n")), HasSubstr("damaged ZIP archive"));
  EXPECT_THAT(error(file("a.csv", "PK\3\4..")), HasSubstr("damaged ZIP archive"));
  EXPECT_THAT(error(file("a.csv", "\x89PNG\r\n\x1a\n")),
              AllOf(HasSubstr("a.csv: found a PNG image, expected a table"), HasSubstr("/data/type \"images\"")));
  EXPECT_THAT(error(file("a.csv.gz", gzip("\x89PNG\r\n\x1a\n"))), HasSubstr("a.csv.gz: found a PNG image"));
  EXPECT_THAT(error(file("a.rds", gzip({"X\n\0\0\0\3", 6}))), HasSubstr("a.rds: found an R data file"));
  EXPECT_THAT(error(std::filesystem::temp_directory_path()),
              AllOf(HasSubstr("Is a directory, expected a table"), HasSubstr("/data/type \"images\"")));
  EXPECT_THAT(error(file("a.mtx.gz", gzip("%%MatrixMarket matrix coordinate integer general\n3 2 0\n"))),
              AllOf(HasSubstr("found a Matrix Market file (.mtx)"), HasSubstr("/data/type \"counts\"")));
  std::filesystem::create_directory(folder_ / "cells");
  file("cells/matrix.mtx.gz", "");
  EXPECT_THAT(error(folder_ / "cells"),
              EndsWith("cells: found a 10x folder of counts (matrix.mtx), expected a table; it is for /data/type "
                       "\"counts\" (to train: ae-train --recipe scrna-embed)"));
  EXPECT_THAT(error("/dev/zero"), HasSubstr("NUL byte at offset 0"));
  EXPECT_THAT(error("/dev/null"), HasSubstr("empty"));
  EXPECT_THAT(error(file("a.csv", "a\n"), "cvs"),
              AllOf(StartsWith("/data/format: unknown format"), HasSubstr("\"csv\"")));
}

}  // namespace
}  // namespace ae::data::source_test
