#include "data/gemmi/molecules.hpp"

#include "base/error.hpp"
#include "data/gemmi/cif_head.hpp"
#include "data/gemmi/formats.hpp"

namespace ae::data {

std::vector<geometry::Backbone> read_molecules(std::unique_ptr<ByteSource> source, std::string_view head,
                                               Reporter& reporter) {
  const auto name = source->name();
  constexpr molecules::Expectation kExpected{"a molecule", "a PDB or mmCIF file"};
  const auto listing = molecules::read_by_library(name, kExpected, [&] {
    return begins_cif(head) ? molecules::read_mmcif(std::move(source)) : molecules::read_pdb(std::move(source));
  });
  if (listing.more_models) reporter.warning(name + ": several models; the first is taken");
  if (listing.more_blocks) reporter.warning(name + ": several data blocks with atoms; the first is taken");
  auto backbones = molecules::backbones_of(listing.chains);
  if (backbones.empty()) throw InputError(name + ": found no protein chain; expected residues with atoms N, CA and C");
  return backbones;
}

}  // namespace ae::data
