// Matrix Market files from any bytes, either way round: cells whose entries ascend and are not 0, with the same sum
// both ways, or one clear error.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/counts/matrix_market.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

double read(const std::string& bytes, bool genes_are_rows) {
  const std::size_t read_size = 1 + bytes.size() % 97;
  ae::data::MatrixMarket matrix(std::make_unique<ae::test::MemorySource>(bytes, [read_size] { return read_size; }));
  const std::int64_t genes = genes_are_rows ? matrix.rows() : matrix.columns();
  std::vector<std::int32_t> places(static_cast<std::size_t>(genes));
  std::iota(places.begin(), places.end(), 0);
  ae::SilentReporter silent;
  const auto counts = matrix.read(genes_are_rows, places, silent);
  require(counts.cells() == (genes_are_rows ? matrix.columns() : matrix.rows()));
  require(counts.begins.back() == std::ssize(counts.genes) && counts.genes.size() == counts.counts.size());
  double sum = 0;
  for (std::int64_t cell = 0; cell < counts.cells(); ++cell) {
    std::int32_t last = -1;
    for (const auto gene : counts.view().genes_of(cell)) {
      require(gene > last && gene < genes);
      last = gene;
    }
    for (const float count : counts.view().counts_of(cell)) {
      require(count != 0);
      sum += static_cast<double>(count);
    }
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const double sum = read(bytes, false), turned = read(bytes, true);
    if (std::isfinite(sum) && std::abs(sum) < 1e6) require(std::abs(sum - turned) <= 1e-3 * (1 + std::abs(sum)));
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty());
  }
  return 0;
}
