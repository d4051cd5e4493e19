// Pictures of how well scores separate anomalies from normal rows: a plot for a paper, a page to choose a threshold on.
//
// Both are pure functions of their arguments: the same evaluation gives the same bytes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "evaluate/evaluation.hpp"

namespace ae::report {

// ROC and precision-recall curves side by side as one SVG file (XML 1.0, UTF-8), for light and dark surroundings.
// Several evaluations are overlaid. The chosen threshold of each is a marked point, where precision is defined. At most
// 2000 points a curve, and fewer of many curves. Curves and marks tell their figures when they are pointed at.
std::string roc_svg(const evaluate::Assessment& assessment);

struct RocPage {
  const evaluate::Assessment& assessment;
  std::string command;                                     // the command line that made it; "" = not shown
  std::vector<std::pair<std::string, std::string>> facts;  // further lines for the run's facts: name, value
  std::vector<std::string> warnings = {};                  // of the run, as the terminal showed them
  std::vector<std::string> notes = {};                     // what else is to be known to read the figures right
};

// The interactive page: threshold slider over the score histogram, confusion table and rates, both curves. One HTML
// file below 1 MB however many rows were scored (by up to twenty scores). Every position of the slider is a score of
// the data with its exact counts; at most 4000 positions an evaluation, fewer of more than two, and the page says when
// it shows fewer than the whole curve has.
std::string roc_page(const RocPage& page);

// Rising indices of at most `limit` curve points such that straight lines between them stay within 3 / (limit - 4 -
// keep.size()) of the whole curve in TPR and in FPR, and the number of flagged rows changes by a small factor from one
// to the next. All of them when the curve is short enough; always the first, the last and `keep`. limit > 16 +
// keep.size().
std::vector<std::size_t> thinned(const std::vector<evaluate::CurvePoint>& curve, std::size_t limit,
                                 const std::vector<std::size_t>& keep = {});

}  // namespace ae::report
