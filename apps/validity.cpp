#include "validity.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/world.hpp"
#include "crystal_validity.hpp"
#include "data/structures/structure_writer.hpp"
#include "output_files.hpp"
#include "protein_validity.hpp"

namespace ae::apps {

const std::vector<ValidityKind>& validity_kinds() {
  static const std::vector<ValidityKind> kinds{
      {"protein", "bonds, angles, peptide planes, clashes and handedness of backbones in NPY, NPZ, PDB and mmCIF files",
       false, true, run_protein_validity},
      {"crystal", "volumes, shortest distances, overlaps and disorder of crystals in CIF files and tables (CSV)", true,
       false, run_crystal_validity},
  };
  return kinds;
}

void ValidityOption::declare(CLI::App& app, CLI::Option* input) {
  app_ = &app;
  std::vector<std::string> names;
  std::string help;
  for (const auto& kind : validity_kinds()) {
    names.emplace_back(kind.name);
    help += (help.empty() ? "" : "; ") + std::string(kind.name) + ": " + std::string(kind.help);
  }
  auto* validity = cli::add_choice(
      app, "--validity", kind_,
      "Without a model, which is then an input like the others: tell what is wrong with structures (" + help + ")",
      names);
  validity->each([input](const std::string&) { input->required(false); });
  app.add_option("--reference", reference_,
                 "With --validity crystal: what the crystals should be, by the same ids; tells which are the same "
                 "crystal, and how far their sites are from where they should be")
      ->type_name("FILE")
      ->needs(validity);
  constexpr std::int64_t kMostSteps = 1'000'000;
  auto* relax = cli::add_integer(app, "--relax", relax_steps_,
                                 "With --validity protein: first move the atoms of each structure to the nearest place "
                                 "where its geometry is as measured structures have it, in at most STEPS steps (most "
                                 "need 10 to 30), and judge it before and after",
                                 1, kMostSteps)
                    ->needs(validity);
  app.add_option("--relaxed", relaxed_,
                 "Where the structures of --relax go: .npy (structures, residues, 4, 3), or .pdb")
      ->type_name("FILE")
      ->needs(relax);
}

void ValidityOption::check_options() const {
  constexpr std::array<std::string_view, 11> kUseful{"--validity", "--reference", "--relax",   "--relaxed",
                                                     "--output",   "--summary",   "--force",   "--quiet",
                                                     "--verbose",  "--threads",   "--log-json"};
  for (const auto* option : app_->get_options()) {
    if (option->count() == 0 || option->get_positional()) continue;
    if (std::ranges::find(kUseful, option->get_name()) != kUseful.end()) continue;
    throw UsageError(option->get_name() + " needs a model, and --validity has none; leave one of the two out");
  }
  if (world_of_environment().size > 1) throw UsageError("--validity runs in one process; start one");
}

void ValidityOption::run(std::vector<std::string> inputs, const std::string& output, const std::string& summary,
                         cli::Context& context) const {
  check_options();
  for (auto input = inputs.begin(); input != inputs.end(); ++input)
    if (*input != "-" && std::find(inputs.begin(), input, *input) != input)
      throw UsageError(ae::quoted(*input, 200) + " is given twice; two lines of the table would have one id");
  if (!relaxed_.empty()) data::check_structure_name(relaxed_);
  const auto kind = std::ranges::find(validity_kinds(), kind_, &ValidityKind::name);
  if (!reference_.empty() && !kind->takes_reference)
    throw UsageError("--reference is for --validity crystal; leave it out");
  if (relax_steps_ && !kind->relaxes) throw UsageError("--relax is for --validity protein; leave it out");
  if (reference_ == "-" && std::ranges::find(inputs, "-") != inputs.end())
    throw UsageError("standard input cannot be both what is checked and the reference; give one as a file");
  auto read = inputs;
  if (!reference_.empty()) read.push_back(reference_);
  OutputFiles files(read, context.options.force);
  auto* table = files.open(output, "--output");
  auto* story = files.open(summary, "--summary");
  auto* relaxed = files.open(relaxed_, "--relaxed", OutputFiles::Contents::as_named);
  const auto found = kind->run(
      {std::move(inputs), reference_, *table, story, relax_steps_, relaxed, context.options.threads}, context);
  files.commit();
  context.reporter.info(found);
}

}  // namespace ae::apps
