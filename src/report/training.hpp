// The losses of a training run, epoch by epoch, as a picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ae::report {

struct TrainingCurve {
  std::vector<double> training;  // mean loss of each epoch
  std::vector<double> held_out;  // the same; empty without held-out rows
  std::int64_t best_epoch = 0;   // whose weights the model has, counted from 1; 0: none
};

// One SVG file (XML 1.0, UTF-8), for light and dark surroundings: the same curve gives the same bytes. The losses' axis
// is logarithmic when all are above 0 and they span more than a factor of 10. At most about 2000 points a curve, the
// extremes of every stretch among them. "" for no epochs.
std::string training_svg(const TrainingCurve& curve);

}  // namespace ae::report
