// Why a sample is strange, for people: its elements with the largest shares of the score, in units that they know.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recipe/checkpoint.hpp"
#include "recipe/sample_stream.hpp"
#include "report/table_page.hpp"

namespace ae::apply {

// One block's answers, as score::score() gave them.
struct Answered {
  const recipe::SampleBlock& block;
  const score::Scored& scored;
};

class Reasons {
 public:
  // Both must outlive this.
  Reasons(const recipe::Checkpoint& checkpoint, const recipe::SampleStream& stream);

  // The `count` elements of a sample with the largest shares, largest first; equal shares in their order.
  const std::vector<std::int64_t>& largest(const Answered& answered, std::int64_t sample, std::size_t count);
  // All of it about one element. `positive`: see positive_share().
  report::RowReason about(const Answered& answered, std::int64_t sample, std::int64_t element, double positive) const;
  // The sum of the shares above 0: what the per cent are of, since a share can be negative.
  double positive_share(const Answered& answered, std::int64_t sample) const;
  // "speed 17.71 where 7.5 was expected (usually 6.9 to 8.2): 45 %; colour ..." for the first `count` elements.
  std::string in_words(const Answered& answered, std::int64_t sample, const std::vector<std::int64_t>& elements) const;

 private:
  std::size_t cell(std::int64_t sample, std::int64_t element) const {
    return static_cast<std::size_t>(sample) * elements_.size() + static_cast<std::size_t>(element);
  }
  void place(report::RowReason& reason, std::size_t element, double value, double expected) const;

  const recipe::SampleStream& stream_;
  const std::vector<model::Element>& elements_;
  const recipe::Checkpoint& checkpoint_;  // whose profile is read only if it is needed
  std::vector<std::int64_t> order_;
};

}  // namespace ae::apply
