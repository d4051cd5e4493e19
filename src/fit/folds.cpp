#include "fit/folds.hpp"

#include <span>

#include "base/random.hpp"

namespace ae::fit {
namespace {

template <typename Keep>
std::vector<std::int64_t> rows_where(const FoldOfRow& folds, Keep&& keep) {
  std::vector<std::int64_t> rows;
  for (std::size_t row = 0; row < folds.size(); ++row)
    if (keep(folds[row])) rows.push_back(static_cast<std::int64_t>(row));
  return rows;
}

}  // namespace

FoldOfRow stratified_folds(const Outcome& outcome, std::int32_t folds, std::uint64_t key) {
  FoldOfRow result(outcome.size(), 0);
  std::int32_t next = 0;  // goes on from stratum to stratum
  std::uint64_t stratum = 0;
  for (auto& rows : outcome.strata()) {
    shuffle(std::span(rows), Random(stream_key(key, "folds", stratum++)));
    for (const auto row : rows) {
      result[static_cast<std::size_t>(row)] = next;
      next = (next + 1) % folds;
    }
  }
  return result;
}

std::vector<std::int64_t> rows_in(const FoldOfRow& folds, std::int32_t fold) {
  return rows_where(folds, [&](std::int32_t f) { return f == fold; });
}

std::vector<std::int64_t> rows_outside(const FoldOfRow& folds, std::int32_t fold) {
  return rows_where(folds, [&](std::int32_t f) { return f != fold; });
}

}  // namespace ae::fit
