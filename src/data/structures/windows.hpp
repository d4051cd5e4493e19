// Stretches of residues, cut out of chains and put into a frame of their own: what models of structures read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "geometry/frame.hpp"

namespace ae::data {

// Of residues that follow each other: the origin is the mean of all observed atoms of CA (of any atoms, without these);
// the first axis points from CA to C of the residue in the middle, the second lies in the plane of its N, CA and C, on
// the side of N. Where one of these is missing, or they lie in a line, the nearest residue where that is not so tells;
// without any, axes are those of the data. It turns and moves with the residues.
geometry::Frame frame_of(std::span<const geometry::BackboneResidue> residues);

struct Window {
  std::string id;  // the chain's; of a part of one with ":FIRST-LAST", the labels of its residues
  geometry::Frame frame;
  std::vector<double> numbers;  // [residues, 4, 3] in the frame, Angstrom; NaN of missing atoms
};

struct Cut {
  std::int64_t residues = 0;  // of a window; 0: whole structures
  std::int64_t stride = 1;    // residues from one window to the next
  bool own_frame = true;      // else the data's
};

// The windows of one structure after another. Residues of a window are joined (see geometry::is_joined()); whole
// structures may have gaps.
class Windows {
 public:
  explicit Windows(Cut cut) : cut_(cut) {}
  // Residues of `backbone` in no window, which are too few between two breaks, or behind the last window of a stretch.
  std::int64_t begin(geometry::Backbone backbone);
  bool next(Window& window);

 private:
  Cut cut_;
  geometry::Backbone backbone_;
  std::vector<std::size_t> first_;  // of the windows
  std::size_t residues_ = 0, given_ = 0;
};

// "r1_N_x", "r1_N_y", ...: [residues, 4, 3]
std::vector<std::string> window_columns(std::int64_t residues);

}  // namespace ae::data
