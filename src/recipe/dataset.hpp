// The samples of a training run, whatever kind of data they come from.
//
// Adding a kind of data: its options in the data room, one line in data_kinds() and one loader here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/images/geometry.hpp"
#include "data/options.hpp"
#include "data/tables/schema.hpp"
#include "model/batch.hpp"

namespace ae::recipe {

std::span<const config::Entry<data::DataOptions>> data_kinds();  // table, images

struct Dataset {
  model::Domain domain;
  std::unique_ptr<model::Samples> training;
  std::unique_ptr<model::Samples> held_out;  // may be empty
  data::Schema schema;                       // of tables
  std::optional<data::Geometry> geometry;    // of images
  std::vector<std::int64_t> training_rows;   // of tables: 0-based row number in the file of each training sample
  std::string data_sha256;                   // of a table file's bytes; of the images' ids, sizes and network pixels
};

// Of images, whole images are held out, not tiles. See data::load_table and data::ImageSource for errors; besides,
// InputError when a table leaves a single row to train on, or when an image differs in size from the first one where
// neither tiles nor resizing make that right. Images are decoded by so many threads.
Dataset load_dataset(const data::DataOptions& options, Reporter& reporter, data::HoldOut hold_out, int threads = 1);

}  // namespace ae::recipe
