// The registry of network families.
#include <array>

#include "model/makers.hpp"
#include "model/network.hpp"

namespace ae::model {
namespace {

constexpr std::array<config::Entry<Family>, 11> kFamilies{{
    {"dense", "Fully connected encoder and mirrored decoder with a narrow code between them.", make_dense},
    {"linear", "Linear encoder and decoder: principal component analysis when trained with mse.", make_linear},
    {"variational", "Dense autoencoder with a normally distributed code (VAE); needs a kl term.", make_variational},
    {"factors",
     "Factor analysis: the code follows from whichever cells a row has, the decoder is linear with a non-linear part "
     "beside it; to fill holes.",
     make_factors},
    {"backbone",
     "Dense autoencoder of protein backbones that answers with chains whose bonds have the lengths of bonds.",
     make_backbone},
    {"backbone_variational",
     "The same with a normally distributed code (VAE), from which new backbones can be drawn; needs a kl term.",
     make_backbone_variational},
    {"dense_images",
     "Fully connected autoencoder of whole small images of one size: pixels are its cells, as where digits are in the "
     "middle.",
     make_dense_images},
    {"conv", "Convolutional autoencoder of images.", make_conv},
    {"unet",
     "Convolutional autoencoder with skip connections, to restore corrupted images (without corruption it copies).",
     make_unet},
    {"conv_variational", "Convolutional autoencoder with a normally distributed code; needs a kl term.",
     make_conv_variational},
    {"none", "No network: for score heads that ask none. ae-impute, ae-purify and ae-embed need one.", make_none},
}};

}  // namespace

std::span<const config::Entry<Family>> families() { return kFamilies; }

}  // namespace ae::model
