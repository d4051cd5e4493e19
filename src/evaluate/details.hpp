// What labels, maps, masks, boxes and a manifest tell beyond the scores of all rows.
#pragma once

#include <filesystem>
#include <string>

#include "base/reporter.hpp"
#include "evaluate/box_hits.hpp"
#include "evaluate/evaluation.hpp"
#include "evaluate/roc.hpp"
#include "evaluate/score_files.hpp"

namespace ae::evaluate {

struct DetailOptions {
  std::filesystem::path maps;      // "" = no pixel figures
  std::filesystem::path truth;     // masks; needed with maps
  std::filesystem::path boxes;     // a folder with a CSV an image, or one CSV with ids; "" = no box figures
  std::filesystem::path regions;   // needed with boxes
  std::filesystem::path manifest;  // table with the group column; "" = it is a column of the scores
  std::string group_column;        // "" = no groups
  std::string id_column = "id";    // of a boxes table and the manifest, if they have it
  BoxRule box_rule;
  bool allow_missing = false;  // leave images without map, mask or boxes out instead of refusing
  double confidence = 0.95;
  std::int64_t resamples = 200;  // of images, for the intervals of pixel figures; 0 = none
  std::uint64_t seed = 0;

  bool need_ids() const { return !maps.empty() || !boxes.empty() || !group_column.empty(); }
  RowsToKeep to_keep() const { return {need_ids(), manifest.empty() ? group_column : ""}; }
};

// `rows` as read with options.to_keep(), whose scores have become `scores`; counts of parts are at `threshold`.
//
// Pixels: each labelled image needs its map; a defective one its mask, of the same size. A normal image needs no mask
// and must not have one with defects. When no defective image has a mask, there are no pixel figures, and a warning;
// when some have none, InputError names them. The figures of a type are over its images and all normal ones.
//
// Boxes: a defective image needs its CSV, in the table at least a row; regions of normal images are all false. A region
// table with an id that the scores do not have is refused.
Details details(const LabeledRows& rows, const LabeledScores& scores, double threshold, const DetailOptions& options,
                Reporter& reporter);

}  // namespace ae::evaluate
