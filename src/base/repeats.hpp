// Which items of a sequence are identical to others: samples that must be held out and left out together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ae {

class Repeats {
 public:
  Repeats() = default;  // every item is the only one of its kind
  // Items with equal hashes count as identical: of n items two others are taken for one with probability n^2 / 2^65.
  // Memory: while this works 24 bytes an item, and so many afterwards only when some are identical.
  explicit Repeats(const std::vector<std::uint64_t>& hashes);

  bool any() const { return !first_.empty(); }
  std::int64_t distinct(std::int64_t items) const { return any() ? distinct_ : items; }  // of all `items`
  // The first item identical to this one, which is this one when no earlier one is.
  std::int64_t first(std::int64_t item) const { return any() ? first_[static_cast<std::size_t>(item)] : item; }
  // How many are identical to this one, itself included.
  std::int64_t count(std::int64_t item) const { return any() ? std::ssize(identical(item)) : 1; }
  // Calls visit(i) for all of them, ascending.
  template <typename Visit>
  void for_each(std::int64_t item, Visit&& visit) const {
    if (!any()) return visit(item);
    for (const std::int64_t i : identical(item)) visit(i);
  }
  // The same of some of the items, which are numbered by their place among `items`.
  Repeats among(std::span<const std::int64_t> items) const;

 private:
  static Repeats of_firsts(std::vector<std::int64_t> first);  // as first() tells; empty: none
  std::span<const std::int64_t> identical(std::int64_t item) const;

  // All empty without identical items.
  std::vector<std::int64_t> first_;
  std::vector<std::int64_t> members_;  // the items, those that are identical side by side
  std::vector<std::int64_t> begin_;    // in members_, of the items identical to a first one; else unused
  std::int64_t distinct_ = 0;
};

// Whether rows repeat each other because their columns have few values, so that each is a draw of its own and new rows
// will repeat them as well, or were written down more than once. Chance explains pairs of identical rows when they are
// not many more than if the columns did not know of each other. A column of few values is one in which also rows that
// differ agree now and then; its values come as often as they do. In any other one, agreement of rows that differ
// is what counts: that of copies says nothing. In a single column rows that differ never agree; its repeats are chance
// when the values are few and do not all come equally often, as in a file written several times.
class Coincidences {
 public:
  Coincidences(const Repeats& repeats, std::int64_t rows);
  // The rows whose cells it wants to see, ascending: some of all.
  const std::vector<std::int64_t>& rows() const { return rows_; }
  void add_column(const std::vector<std::uint64_t>& cells);  // of those rows; equal cells are equal numbers
  bool explain() const;

 private:
  std::vector<std::int64_t> rows_;
  std::vector<bool> drawn_, different_;  // which of them stand for all rows, and which for rows that differ
  double pairs_ = 0;                     // of identical rows
  std::int64_t columns_ = 0;
  bool few_values_ = false;  // of rows as a whole
  double expected_;          // by chance
};

}  // namespace ae
