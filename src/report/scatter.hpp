// A picture of points, several series in one plot whose axes have the same scale, with the line on which both are
// equal.
#pragma once

#include <string>
#include <vector>

namespace ae::report {

struct ScatterPoint {
  double x = 0, y = 0;
};

struct ScatterSeries {
  std::string name;
  std::vector<ScatterPoint> points;
};

struct ScatterPicture {
  std::string title, axis, upright, description;  // names of both axes
  std::vector<ScatterSeries> series;              // at least one, at most two that look different
};

// One SVG file (XML 1.0, UTF-8), for light and dark surroundings: the same picture gives the same bytes. Values are
// finite and at least 0. Each series has the mean of its points as a larger mark.
std::string scatter_svg(const ScatterPicture& picture);

}  // namespace ae::report
