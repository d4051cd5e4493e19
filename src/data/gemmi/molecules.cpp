#include "data/gemmi/molecules.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/gemmi/formats.hpp"

namespace ae::data {
namespace {

// CIF begins with data_, behind blanks and comments, in any case of letters.
bool begins_cif(std::string_view head) {
  for (;;) {
    const auto begin = head.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return false;
    head.remove_prefix(begin);
    if (head.front() != '#') break;
    head.remove_prefix(std::min(head.size(), head.find('\n')));
  }
  constexpr std::string_view kBlock = "data_";
  return lower_case(head.substr(0, kBlock.size())) == kBlock;
}

// What the library says, "NAME:LINE:COLUMN: WHAT" and further lines, as an error with the place first.
InputError not_read(std::string what, const std::string& name) {
  std::string place = name;
  if (what.starts_with(name + ":")) {
    what.erase(0, name.size() + 1);
    const auto digits = what.find_first_not_of("0123456789");
    if (digits != 0 && digits < what.size() && what[digits] == ':') {
      place += ':' + what.substr(0, digits);
      what.erase(0, what.find(": ") == std::string::npos ? digits : what.find(": ") + 1);
    }
  }
  const bool loop = what.find("number of values in the loop") < what.size();
  return InputError(place +
                    ": cannot be read as a molecule: " + ae::printable(trimmed(what.substr(0, what.find('\n')))) +
                    (loop ? " that begins here; expected one for each tag in every row; is the file cut?"
                          : "; expected a PDB or mmCIF file"));
}

}  // namespace

std::vector<geometry::Backbone> read_molecules(std::unique_ptr<ByteSource> source, std::string_view head,
                                               Reporter& reporter) {
  const auto name = source->name();
  molecules::Listing listing;
  try {
    listing = begins_cif(head) ? molecules::read_mmcif(std::move(source)) : molecules::read_pdb(std::move(source));
  } catch (const Error&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw not_read(error.what(), name);
  }
  if (listing.more_models) reporter.warning(name + ": several models; the first is taken");
  if (listing.more_blocks) reporter.warning(name + ": several data blocks with atoms; the first is taken");
  auto backbones = molecules::backbones_of(listing.chains);
  if (backbones.empty()) throw InputError(name + ": found no protein chain; expected residues with atoms N, CA and C");
  return backbones;
}

}  // namespace ae::data
