// ae-embed: the latent codes of samples of any kind. Nothing is decoded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/code_files.hpp"
#include "apply/score_images.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "fit/error_model.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct EmbedOptions {
  recipe::StreamOptions stream;
  Unreadable unreadable = Unreadable::report;  // of images
  bool loss = false;  // also a column `loss` behind the codes: a row's reconstruction loss, as the head
                      // loss scores it; of several networks that of the mean of their predictions
  // Of tables and arrays: also the errors that the samples show. `truth` and `weight` are columns of the input, "" =
  // none.
  struct Errors {
    std::string truth, weight;
    std::uint64_t seed = 0;
  };
  std::optional<Errors> errors;
};

struct EmbedTotals {
  std::int64_t samples = 0;  // that have a code
  recipe::BadSamples bad;
  std::optional<fit::ErrorModel> errors;  // where asked for
};

// z0, z1, ...; those of several networks count on from network to network.
std::vector<std::string> code_names(std::int64_t members, std::int64_t numbers);

// Writes a line for each sample, as `file` does: of variational networks the mean of the code, of several networks
// their codes side by side, of images the code's channels flattened, and a line for each tile, whose id ends in
// ":Y:X", its first pixel in network pixels. The same bytes for any number of threads.
// UsageError for a model without a network, or without a stream of such inputs, for `loss` of images, and for `errors`
// of a model without columns of numbers, of several networks or of more than 4096 columns; RunError when
// a code is not finite. InputError, besides what reading says, for images that are neither tiles nor of the training
// images' size: their code would have another length.
EmbedTotals embed(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                  Reporter& reporter);

// Of a linear network by mean squared error: writes codes in the canonical basis of its decoder for these samples
// (orthonormal axes, ordered by variance, the largest loading of each positive; codes have mean 0) and checks the
// network against principal components. A sample's code is the nearest in its observed cells, in float64. Returns the
// check through `report`, JSON. The rows wait in a temporary file; memory is that of model::principal_components().
// UsageError for any other model.
EmbedTotals embed_linear(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                         std::string& report, Reporter& reporter);

}  // namespace ae::apply
