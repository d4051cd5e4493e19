// Which columns' values are not those of training: every cell of the scored samples is counted, at constant memory.
#pragma once

#include <vector>

#include "apply/flagging.hpp"
#include "recipe/checkpoint.hpp"
#include "stats/shift.hpp"

namespace ae::apply {

class ColumnWatch {
 public:
  explicit ColumnWatch(const recipe::Checkpoint& checkpoint);  // which must outlive this
  void add(const model::Batch& batch, std::int64_t sample);
  // The smallest p-value first. Empty when the model knows nothing of its columns.
  std::vector<ColumnDrift> finish() const;

 private:
  const std::vector<model::Element>& elements_;
  const recipe::Profile& profile_;
  std::vector<stats::ShiftMonitor> monitors_;
};

// `"a" (p = 1e-9), "b" (p = 2e-4)` of the columns that drifted; "" when none did.
std::string drifted_columns_text(const std::vector<ColumnDrift>& columns);

}  // namespace ae::apply
