// Bins of one or two variables.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <utility>
#include <vector>

namespace ae::fit {

// Equal bins of [low, high]. The last one of an axis that is not periodic holds `high` as well; values of a periodic
// one are brought into its period, which is high - low.
struct Axis {
  double low = 0, high = 1;
  Eigen::Index bins = 1;
  bool periodic = false;

  double width() const { return (high - low) / static_cast<double>(bins); }
  double centre(Eigen::Index bin) const { return low + (static_cast<double>(bin) + 0.5) * width(); }
  std::optional<Eigen::Index> bin(double value) const;  // nothing outside
  double difference(double a, double b) const;          // a - b, of a periodic axis the nearest image
};

// Adds a mass that lies evenly on [low, high], or at one place, to the bins [axis.bins]. What is outside of an axis
// that is not periodic is lost.
void add_evenly(Eigen::VectorXd& bins, const Axis& axis, double low, double high, double mass);

// Bins are numbered with the last axis fastest.
struct Grid {
  std::vector<Axis> axes;  // one or two

  Eigen::Index bins() const;
  double cell() const;  // width, area
  // Of a bin, along each axis.
  std::pair<Eigen::Index, Eigen::Index> place(Eigen::Index bin) const;
  std::vector<Eigen::Index> neighbours(Eigen::Index bin) const;  // those that share a side
};

}  // namespace ae::fit
