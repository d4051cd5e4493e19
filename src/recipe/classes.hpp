// The order of classes: what a classifier's output number k stands for.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace ae::recipe {

// The distinct labels: by their value when all are whole numbers, so that labels 0 to 9 are classes 0 to 9; else in the
// order of their bytes.
std::vector<std::string> class_names(std::span<const std::string> labels);

}  // namespace ae::recipe
