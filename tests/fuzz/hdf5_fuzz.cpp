// Counts in HDF5 from any bytes: cells whose entries ascend and are not 0, the same in parts and as a whole, or one
// clear error. The library itself is not instrumented, and leaks where it gives up on a file.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "data/hdf5/count_files.hpp"

// The library asks for whatever memory a file says, and goes on when there is none.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace {

namespace fs = std::filesystem;

void require(bool condition) {
  if (!condition) std::abort();
}

// The library opens files by their names.
const fs::path& file() {
  static const fs::path path = fs::temp_directory_path() / ("hdf5_fuzz." + std::to_string(::getpid()));
  static const int registered = std::atexit([] { ::unlink(file().c_str()); });
  (void)registered;
  return path;
}

void check(const ae::data::CellCounts& counts, std::int64_t cells, std::int64_t genes) {
  require(counts.cells() == cells && counts.begins.back() == std::ssize(counts.genes));
  require(counts.genes.size() == counts.counts.size());
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    std::int32_t last = -1;
    for (const auto gene : counts.view().genes_of(cell)) {
      require(gene > last && gene < genes);
      last = gene;
    }
    for (const float count : counts.view().counts_of(cell)) require(count > 0);
  }
}

void read(const std::string& layer) {
  constexpr std::int64_t kMostCells = 1000, kPart = 7;
  ae::SilentReporter silent;
  ae::data::CountFormat format;
  format.layer = layer;
  const auto source = ae::data::kHdf5Counts.open(file(), format, silent);
  const auto genes = std::ssize(source->genes());
  const auto cells = std::min(source->cells(), kMostCells);
  require(source->cell_names().empty() || std::ssize(source->cell_names()) == source->cells());
  ae::data::CellCounts parts, whole;
  for (std::int64_t begin = 0; begin < cells; begin += kPart)
    source->read(begin, std::min(begin + kPart, cells), parts);
  source->read_again(0, cells, whole);
  check(parts, cells, genes);
  require(parts.begins == whole.begins && parts.genes == whole.genes && parts.counts == whole.counts);
  for (const char* column : {"type", "former", "number", "maybe"}) {
    try {
      const auto texts = source->annotation(column);
      require(std::ssize(texts.codes) == source->cells());
      for (std::int64_t cell = 0; cell < cells; ++cell) (void)texts.text(cell);
    } catch (const ae::Error& error) {
      require(!error.lines().front().empty());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::ofstream(file(), std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  for (const char* layer : {"", "raw", "doubled"}) {
    try {
      read(layer);
    } catch (const ae::Error& error) {
      require(!error.lines().front().empty());
    }
  }
  return 0;
}
