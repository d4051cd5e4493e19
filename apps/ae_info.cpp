// ae-info: what is in a model?
#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "base/files.hpp"
#include "cli/app.hpp"
#include "output_files.hpp"
#include "report/model_info.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-info",
    "Tells what is in a model: columns, recipe, what its scores rest on, calibration, and how it was trained.",
    {{"ae-info runs/wdbc", "all of it, to read"},
     {"ae-info runs/wdbc --json -q --page info.html --plot training-curve.svg > info.json",
      "the same for programs, as a page, and the losses by epoch as a picture"}}};

struct Options {
  std::string model;
  std::string page;
  std::string plot;
  bool json = false;
};

void declare(CLI::App& app, Options& options) {
  app.add_option("model", options.model, "Folder that ae-train wrote, or its model.safetensors")
      ->required()
      ->type_name("PATH");
  app.add_flag("--json", options.json, "Write JSON instead of text");
  app.add_option("--page", options.page, "Also write a page, one HTML file that needs nothing else")->type_name("FILE");
  app.add_option("--plot", options.plot, "Also write the losses by epoch as SVG")->type_name("FILE");
}

void write(ae::Output output, const std::string& text) {
  output.write(text);
  output.commit();
}

void tell(const ae::report::ModelInfo& info, const Options& options, const ae::cli::Context& context) {
  if (!options.plot.empty()) {
    if (!info.curve) throw ae::InputError("--plot: there is no training curve to draw: " + info.no_curve);
    write(ae::Output::open(options.plot, context.options.force), ae::report::training_svg(*info.curve));
  }
  if (!options.page.empty()) {
    write(ae::Output::open(options.page, context.options.force),
          ae::report::info_page(info, ae::cli::shell_command(kProgram.name, context.arguments)));
  }
  write(ae::Output::open("-", false),
        options.json ? ae::report::info_json(info).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                     : ae::report::info_text(info));
}

int run(Options& options, ae::cli::Context& context) {
  const std::filesystem::path file = ae::apps::model_file(options.model);
  ae::apps::require_apart({file, file.parent_path() / "run.json", file.parent_path() / "metrics.csv"},
                          {{"--page", options.page}, {"--plot", options.plot}});
  const auto info = ae::report::read_model_info(options.model);
  try {
    tell(info, options, context);
  } catch (const nlohmann::json::exception&) {
    throw ae::InputError(info.file +
                         ": its metadata holds values of other types than ae-train writes; the file is damaged");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return ae::cli::run_app(
      kProgram, argc, argv, [&](CLI::App& app) { declare(app, options); },
      [&](ae::cli::Context& context) { return run(options, context); });
}
