// What the text and the page of ae-info both say. Internal to the room.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/model_info.hpp"

namespace ae::report {

// One line each: what it is about, and what there is to say.
std::vector<std::pair<std::string, std::string>> facts_of(const ModelInfo& info);

struct ColumnWords {
  std::string name, role;
  std::string detail;  // scaling or levels
};
std::vector<ColumnWords> columns_of(const ModelInfo& info);

}  // namespace ae::report
