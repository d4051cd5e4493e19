#include "apply/column_drift.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>

#include "base/text.hpp"

namespace ae::apply {

ColumnWatch::ColumnWatch(const recipe::Checkpoint& checkpoint)
    : elements_(checkpoint.kind().domain().elements), profile_(checkpoint.profile()) {
  for (const auto& column : profile_.columns) monitors_.emplace_back(column);
}

void ColumnWatch::add(const model::Batch& batch, std::int64_t sample) {
  const auto begin = static_cast<std::size_t>(sample) * monitors_.size();
  const float* values = batch.values.data_ptr<float>() + begin;
  const float* observed = batch.observed.data_ptr<float>() + begin;
  for (std::size_t e = 0; e < monitors_.size(); ++e) {
    if (observed[e] != 0) {
      monitors_[e].add(values[e]);
    } else {
      monitors_[e].add_missing();
    }
  }
}

std::vector<ColumnDrift> ColumnWatch::finish() const {
  std::vector<ColumnDrift> columns;
  for (std::size_t e = 0; e < monitors_.size(); ++e) {
    const auto& monitor = monitors_[e];
    const auto& known = profile_.columns[e];
    ColumnDrift column;
    column.column = elements_[e].name;
    column.p_value = monitor.p_value();
    column.distance = monitor.distance();
    column.observed = monitor.observed();
    column.missing = monitor.rows() - column.observed;
    column.unseen = monitor.unseen();
    column.missing_in_training =
        known.known() ? static_cast<double>(known.rows - known.observed) / static_cast<double>(known.rows) : 0;
    column.shares = monitor.shares();
    column.drifted = column.p_value * static_cast<double>(monitors_.size()) < kDriftAlarm;
    columns.push_back(std::move(column));
  }
  std::stable_sort(columns.begin(), columns.end(), [](const ColumnDrift& a, const ColumnDrift& b) {
    return a.p_value != b.p_value ? a.p_value < b.p_value : a.distance > b.distance;
  });
  return columns;
}

std::string drifted_columns_text(const std::vector<ColumnDrift>& columns) {
  constexpr std::size_t kNamed = 5;
  std::vector<std::string> named;
  for (const auto& column : columns) {
    if (!column.drifted) continue;
    char p_value[32];
    std::snprintf(p_value, sizeof p_value, "%.2g", column.p_value);
    named.push_back(ae::quoted(column.column) + " (p = " + p_value + ")");
  }
  return join(named, ", ", kNamed);
}

}  // namespace ae::apply
