// Latent codes in .h5ad files of AnnData.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "apply/code_files.hpp"

namespace ae::apply {

// obsm["X_ae"], NaN for a sample that could not be read. A single input that is an .h5ad file itself passes through
// with all that it holds; of others the ids are the index of obs, the texts its columns, and there is no X.
std::unique_ptr<CodeFile> make_h5ad_codes(Output& output, std::span<const std::string> inputs);

}  // namespace ae::apply
