// ae-export: a model for programs that know nothing of aetools.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "base/error.hpp"
#include "base/files.hpp"
#include "cli/version.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "script/exportable.hpp"
#include "script/plumed.hpp"
#include "script/torchscript.hpp"

namespace {

namespace fs = std::filesystem;

const ae::cli::Program kProgram{
    "ae-export",
    "Writes a model of a table for programs that know nothing of aetools: as TorchScript, with scaling, codes, "
    "reconstructions and the score, and as input for PLUMED, by which simulations are biased along the code and kept "
    "where the loss is low.",
    {{"ae-export runs/wdbc --torchscript wdbc.pt", "one file for Python and C++, read by torch.jit.load"},
     {"ae-train configs/linear-pca.json --data configs/data/wdbc.csv --set /data/label=diagnosis --out runs/variables "
      "&& ae-export runs/variables --plumed plumed --wall 1.5",
      "the same and an input file for PLUMED, which biases the code, with a wall on the loss"}},
    {},
    {{"DIR/model.pt", "of --plumed: the model as TorchScript, for the action PYTORCH_MODEL"},
     {"DIR/plumed.dat", "of --plumed: input that biases the code, with a wall on the loss, and prints both"},
     {"DIR/plumed-ann.dat", "of --plumed: the code as numbers in the text, for the action ANN; of small encoders"}}};

struct Options {
  std::string model;
  std::string torchscript;
  std::string plumed;
  std::optional<double> wall;
  bool no_score = false;
};

void declare(CLI::App& app, Options& options) {
  ae::apps::add_model(app, options.model);
  app.add_option("--torchscript", options.torchscript, "Where the model goes as a TorchScript module")
      ->type_name("FILE");
  auto* plumed = app.add_option("--plumed", options.plumed,
                                "Folder for the module and input files of PLUMED, whose arguments are the columns of "
                                "the model")
                     ->type_name("DIR");
  auto* wall = ae::cli::add_number(app, "--wall", options.wall,
                                   "Loss above which a wall pushes the simulation back; not given, the wall is there "
                                   "as a comment with the 99.9 % quantile of the model's calibration scores",
                                   1e-9, 1e9)
                   ->needs(plumed);
  app.add_flag("--no-score", options.no_score,
               "Leave out the score: codes and reconstructions alone, of models with any score head")
      ->excludes(wall);
}

int run(Options& options, ae::cli::Context& context) {
  if (options.torchscript.empty() && options.plumed.empty())
    throw ae::UsageError("nothing to write; give --torchscript FILE, --plumed DIR or both");
  const auto checkpoint = ae::apps::open_model(options.model, context);
  const auto model = ae::script::exportable(checkpoint, !options.no_score);
  const auto made_by = ae::cli::version_line(kProgram.name) + ", of the model " + checkpoint.digest();
  if (!options.plumed.empty()) ae::script::check_for_plumed(model);
  const auto module = ae::script::torchscript(model, made_by);

  ae::apps::OutputFiles files({checkpoint.name()}, context.options.force);
  if (!options.torchscript.empty())
    files.open(options.torchscript, "--torchscript", ae::apps::OutputFiles::Contents::as_named)->write(module);
  fs::path stale;  // of an earlier run with another model
  if (!options.plumed.empty()) {
    const auto folder = files.folder(options.plumed, "--plumed");
    const auto write = [&](const char* name, const std::string& text) {
      files.open((folder / name).string(), "--plumed")->write(text);
    };
    write("model.pt", module);
    write("plumed.dat", ae::script::plumed_input(model, {"model.pt", options.wall, made_by}));
    std::string why_not;
    const auto text = ae::script::plumed_ann_input(model, made_by, why_not);
    const char* ann = "plumed-ann.dat";
    if (text) {
      write(ann, *text);
    } else {
      stale = folder / ann;
      if (fs::exists(stale) && !context.options.force)
        throw ae::UsageError(stale.string() + " exists, and this model has none; use --force to remove it");
      context.reporter.info(std::string(ann) + " is not written: " + why_not);
    }
  }
  files.commit();
  if (std::error_code error; !stale.empty()) fs::remove(stale, error);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
