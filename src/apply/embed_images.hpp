// The latent codes of images.
#pragma once

#include "apply/embed.hpp"

namespace ae::apply {

// See embed(). UsageError when the model was not trained on images.
EmbedTotals embed_images(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                         Reporter& reporter);

}  // namespace ae::apply
