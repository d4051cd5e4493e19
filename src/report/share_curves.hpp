// A picture of shares, from 0 to 1, as curves over a size, with bands of their intervals.
#pragma once

#include <string>
#include <vector>

namespace ae::report {

struct SharePoint {
  double at = 0, share = 0, low = 0, high = 1;
};

struct ShareCurve {
  std::string name;
  std::vector<SharePoint> points;  // at ascending sizes
};

struct SharePicture {
  std::string title, axis, upright, description;  // names of both axes
  std::vector<ShareCurve> curves;                 // at least one, at most eight that look different
};

// One SVG file (XML 1.0, UTF-8), for light and dark surroundings: the same picture gives the same bytes.
std::string share_curves_svg(const SharePicture& picture);

}  // namespace ae::report
