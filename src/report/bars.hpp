// A picture of numbers as bars to both sides of zero, such as the parts of a sum.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ae::report {

struct Bar {
  std::string name;
  double value = 0;    // finite
  double error = 0;    // a standard error, drawn as a line to both sides; 0: none is known
  bool total = false;  // not one of the parts but what they come to, or are compared with
};

struct BarPicture {
  std::string title, subtitle, axis, description;
  std::vector<Bar> bars;  // at least one
};

// One SVG file (XML 1.0, UTF-8), for light and dark surroundings: the same picture gives the same bytes.
std::string bars_svg(const BarPicture& picture);

}  // namespace ae::report
