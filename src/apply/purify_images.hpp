// ae-purify on images: each as what its purifiers make of it, and a line of what that changed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "apply/image_batches.hpp"
#include "apply/purify_judge.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct ImagePurifyOptions {
  std::vector<std::string> inputs;
  std::vector<std::string> purifiers;  // at least one; one after another, see PurifierChain
  Unreadable unreadable = Unreadable::report;
  // Where the purified images go: one of these two.
  Output* array = nullptr;
  std::filesystem::path folder;
  bool overwrite = false;                                    // what is in the folder
  Output* table = nullptr;                                   // unless null
  std::vector<std::pair<std::string, std::string>> outputs;  // options and files, which must be none that is read
  std::optional<JudgeOptions> judge;                         // who looks at them before and after
  std::uint64_t seed = 0;                                    // of purifiers that draw
  std::string clean;                                         // images that purifiers are fitted to; "": none
  std::span<const recipe::Checkpoint> among{};               // further models, see PurifierSource
  std::optional<std::int64_t> votes;                         // see votes_of()
};

struct ImagePurifyTotals {
  std::int64_t images = 0, unreadable = 0;
  std::optional<JudgeFigures> judged;
};

// An image [channels, height, width] as arrays hold it: [height, width], or [height, width, channels] of colours.
at::Tensor array_pixels(const at::Tensor& image);

// What is drawn at random is drawn once, but for the classifier's answers, of which there are as many as votes.
// The array: NPY, float32 [images, height, width], or [images, height, width, channels] of colours, in network pixels.
// The folder: ID.png, at the images' own sizes, always of 8 bits, so that what lies outside of [0, 1] becomes its ends;
// it keeps what was written where a run fails. In the array and the table pixels do so where images are whole numbers
// in their files. The table: id[,label],loss_before,loss_after,distance_l2,distance_linf[,nearest] and what PurifyJudge
// adds: the model's score of the image as it was and as it became, and how far it was moved, in network pixels from 0
// to 1: the root of the sum of squares, and the largest difference; where one of several models is chosen, its number,
// from 0, the first one's. Files are not committed. UsageError for a folder that holds
// something, for names that collide, and for an image that would be written over; InputError for images of several
// sizes in one array, and when none can be read.
ImagePurifyTotals purify_images(const recipe::Checkpoint& checkpoint, const ImagePurifyOptions& options,
                                Reporter& reporter);

}  // namespace ae::apply
