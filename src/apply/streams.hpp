// What the programs around a model ask of it before they read.
#pragma once

#include <memory>
#include <string>

#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

// UsageError when the model's kind of data has no stream of samples, or none of such inputs.
std::unique_ptr<recipe::SampleStream> open_stream(const recipe::Checkpoint& checkpoint,
                                                  const recipe::StreamOptions& options, Reporter& reporter);

// The head that scores what such a stream brings. UsageError when the model's answers whole images.
const score::SampleHead& sample_head(const recipe::Checkpoint& checkpoint);

// UsageError when the model has no network ("none"), which `program` would ask to do `what` ("fill cells").
void check_network(const recipe::Checkpoint& checkpoint, const std::string& program, const std::string& what);

}  // namespace ae::apply
