// Speed of the CSV reader in bytes of text a second on one thread: a generated table of 20 columns of numbers with 6 to
// 9 digits, 128 MiB. With /usr/bin/python3 and pandas present, its C parser reads the same file for comparison.
// bytes_per_second counts processor time.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/random.hpp"
#include "base/text.hpp"
#include "data/bytes/source.hpp"
#include "data/tables/rows.hpp"

namespace {

constexpr int kColumns = 20;
constexpr std::size_t kBytes = std::size_t{128} << 20;

std::string random_number(ae::Random& random) {
  const std::uint64_t digits = 6 + random.below(4);
  const std::uint64_t point = 1 + random.below(digits - 1);
  std::string text = random.below(4) == 0 ? "-" : "";
  for (std::uint64_t i = 0; i < digits; ++i) {
    if (i == point) text += '.';
    text += static_cast<char>('0' + random.below(10));
  }
  return text;
}

// The table as a file that lives as long as the process.
class TableFile {
 public:
  TableFile() : path_(std::filesystem::temp_directory_path() / ("csv_bench_" + std::to_string(::getpid()) + ".csv")) {
    ae::Random random(ae::stream_key(1, "benchmark"));
    std::string text;
    text.reserve(kBytes + 4096);
    for (int i = 0; i < kColumns; ++i) text.append(i ? ",column_" : "column_").append(std::to_string(i));
    text += '\n';
    while (text.size() < kBytes)
      for (int i = 0; i < kColumns; ++i) text.append(random_number(random)).append(i + 1 < kColumns ? "," : "\n");
    bytes_ = text.size();
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TableFile() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(bytes_); }

 private:
  std::filesystem::path path_;
  std::size_t bytes_ = 0;
};

const TableFile& table() {
  static const TableFile file;
  return file;
}

void count_bytes(benchmark::State& state) { state.SetBytesProcessed(state.iterations() * table().bytes()); }

void ReadBytes(benchmark::State& state) {
  table();
  std::string buffer(256 * 1024, '\0');
  for (auto _ : state) {
    const auto source = ae::data::ByteSource::open(table().path());
    while (source->read(buffer.data(), buffer.size()) > 0) benchmark::DoNotOptimize(buffer.data());
  }
  count_bytes(state);
}

void Tokenise(benchmark::State& state) {
  table();
  for (auto _ : state) {
    const auto rows = ae::data::open_rows(table().path());
    std::size_t characters = 0;
    while (rows->next())
      for (std::size_t i = 0; i < kColumns; ++i) characters += rows->text(i).size();
    benchmark::DoNotOptimize(characters);
  }
  count_bytes(state);
}

void TokeniseAndParseNumbers(benchmark::State& state) {
  table();
  for (auto _ : state) {
    const auto rows = ae::data::open_rows(table().path());
    double sum = 0;
    while (rows->next())
      for (std::size_t i = 0; i < kColumns; ++i) sum += ae::parse_number(rows->text(i)).value();
    benchmark::DoNotOptimize(sum);
  }
  count_bytes(state);
}

// Python measures and prints its processor seconds itself: the interpreter's start is left out, and a busy machine
// slows neither side's figure.
void PandasReadCsv(benchmark::State& state) {
  const std::string command =
      "/usr/bin/python3 -c \"import sys,time,pandas;t=time.process_time();"
      "pandas.read_csv(sys.argv[1],engine='c');print(time.process_time()-t)\" '" +
      table().path().string() + "' 2>/dev/null";
  for (auto _ : state) {
    FILE* pipe = ::popen(command.c_str(), "r");
    double seconds = 0;
    const bool read = pipe && std::fscanf(pipe, "%lf", &seconds) == 1;
    if (pipe) ::pclose(pipe);
    if (!read) {
      state.SkipWithError("pandas is not installed");
      break;
    }
    state.SetIterationTime(seconds);
  }
  count_bytes(state);
}

BENCHMARK(ReadBytes)->Unit(benchmark::kMillisecond);
BENCHMARK(Tokenise)->Unit(benchmark::kMillisecond);
BENCHMARK(TokeniseAndParseNumbers)->Unit(benchmark::kMillisecond);
BENCHMARK(PandasReadCsv)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
