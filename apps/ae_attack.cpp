// ae-attack: can a classifier be fooled, also through what purifies its images?
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/named_choice.hpp"
#include "apply/purifiers.hpp"
#include "attack/campaign/campaign.hpp"
#include "attack/campaign/campaign_files.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "classifier_options.hpp"
#include "cli/version.hpp"
#include "model_program.hpp"
#include "output_files.hpp"

namespace {

const ae::cli::Program kProgram{
    "ae-attack",
    "Attacks a classifier of images, alone and behind a purifier, and tells how many it still gets right: by noise, "
    "by its gradients, through the purifier, and by search without gradients. The headline is what all of them turn.",
    {{"ae-attack classifier.pt boards/ --eps 0,0.02,0.05 -o attacked",
      "noise, one step and many steps along the gradient, of a TorchScript classifier"},
     {"ae-attack classifier.pt boards/ --through runs/boards --attack noise,apgd,square --steps 100 --restarts 10 -o "
      "through",
      "the same behind ae-purify's reconstruction: by an attacker who does not know of it, and by one who does"}},
    {},
    {{"DIR/report.csv", "a line for each threat, attack, defence and size"},
     {"DIR/report.json", "the same, with flags: what should make a reader doubt the figures"},
     {"DIR/samples.csv", "a line for each image: the smallest size by which it was turned"},
     {"DIR/certified.csv", "of --certify, a line for each image: the class, and within which radius it stays"},
     {"DIR/THREAT-ATTACK-NORM-EPS.npy", "the images that an attack found, as the classifier is given them"}}};

struct Options {
  std::string victim, input, output, page, through, unreadable = "report", norm = "linf", outputs = "logits";
  std::vector<std::string> attacks{"noise", "fgsm", "pgd"}, losses{"ce", "margin"}, eps{"0", "0.1", "0.2", "0.3"},
      lambdas{"1", "0.1", "0.01"}, mean, deviation, among;
  std::int64_t seed = 0;
  double relative_step = 0;
  std::optional<double> sigma;
  std::optional<std::int64_t> most, eot;
  bool no_images = false;
  ae::attack::CampaignOptions campaign;
};

void declare(CLI::App& app, Options& o) {
  auto& c = o.campaign;
  app.add_option("classifier", o.victim,
                 "TorchScript network from images [n, channels, height, width] to [n, classes], or the folder of an "
                 "ae-train with the objective classification; such a file is a program, which runs with your rights")
      ->required()
      ->type_name("PATH");
  app.add_option("input", o.input, "Images: a folder, a pattern, a .txt list, a file, IDX, NPY")
      ->required()
      ->type_name("PATH");
  app.add_option("-o,--output", o.output, "Folder for reports and images, which is made")->required()->type_name("DIR");
  app.add_option("--eps", o.eps, "Sizes of the attacks, by commas or repeated; pixels are from 0 to 1")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("TEXT");
  ae::cli::add_choice(app, "--norm", o.norm,
                      "What a size is of: the largest change of a pixel, or the root of the sum "
                      "of squares of all",
                      {"linf", "l2"})
      ->capture_default_str();
  app.add_option("--attack", o.attacks,
                 "Attacks, by commas or repeated: " + ae::apply::kinds_help(ae::attack::attack_kinds()))
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("TEXT");
  ae::cli::add_integer(app, "--steps", c.attack.steps, "Steps along the gradient of pgd and apgd", 1, 100000)
      ->capture_default_str();
  ae::cli::add_integer(app, "--restarts", c.restarts,
                       "Starts from other random points, for images that are not turned yet", 1, 10000)
      ->capture_default_str();
  app.add_option("--loss", o.losses,
                 "What is ascended, by commas or repeated, in turn for each start: ce, cross-entropy; margin, of the "
                 "logits; dlr, "
                 "the margin by the spread of the logits")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("TEXT");
  ae::cli::add_number(app, "--relative-step", o.relative_step, "Step of pgd as a share of the size; 0: 2.5 / steps", 0,
                      10)
      ->capture_default_str();
  ae::cli::add_integer(app, "--queries", c.attack.queries, "Tries of square for each image and start", 1, 1000000)
      ->capture_default_str();
  ae::cli::add_integer(app, "--seed", o.seed, "Of all random numbers", 0, 9007199254740991)->capture_default_str();
  ae::cli::add_integer(app, "--first", o.most, "Take so many images only, from the first on", 1, 1000000000000);
  ae::apps::add_classifier_options(app, {c.labels, c.classes, o.mean, o.deviation, o.outputs});
  app.add_option("--through", o.through,
                 "Model of images that purifies what the classifier is given, as ae-purify does: the folder that "
                 "ae-train wrote, or its model.safetensors")
      ->type_name("PATH");
  app.add_option("--purifier", c.purifiers,
                 "What is done to images, one after another, repeat for several, as of ae-purify (default: "
                 "reconstruction)")
      ->allow_extra_args(false)
      ->type_name("TEXT");
  ae::apps::add_among_option(app, o.among);
  ae::apps::add_votes_option(app, c.votes);
  ae::cli::add_integer(app, "--eot", o.eot,
                       "Of a purifier that draws at random: draws whose mean loss is ascended at each step (default: " +
                           std::to_string(c.eot) + ")",
                       1, 1000)
      ->group(ae::apps::kClassifierGroup);
  auto* detector = ae::apps::add_detector_options(app, {c.detectors, c.clean, c.false_positives}).front();
  app.add_option("--lambda", o.lambdas,
                 "How much of the detectors' scores, relative to their thresholds, who knows of them takes off the "
                 "loss, by commas or repeated, in turn for each start")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("TEXT")
      ->group(ae::apps::kClassifierGroup)
      ->needs(detector);
  auto* certify = ae::cli::add_number(
                      app, "--certify", o.sigma,
                      "Also certify, with Gaussian noise of this standard deviation before the purifier and the "
                      "classifier, how far each image may be changed, by the root of the sum of squares, whatever the "
                      "attack",
                      1e-6, 100)
                      ->group(ae::apps::kClassifierGroup);
  ae::cli::add_number(app, "--certainty", c.certify.confidence, "Of each image's certificate", 0.5, 0.999999999)
      ->capture_default_str()
      ->group(ae::apps::kClassifierGroup)
      ->needs(certify);
  app.add_option("--surrogate", c.surrogate,
                 "Another such classifier, whose gradients an attacker takes who does not have the one that is "
                 "attacked")
      ->type_name("PATH");
  app.add_option("--page", o.page,
                 "Also write a page: accuracy by size with intervals, flags, and some images; one HTML file that "
                 "needs nothing else")
      ->type_name("FILE");
  app.add_flag("--no-images", o.no_images, "Do not write the images that attacks found");
  ae::cli::add_choice(app, "--unreadable", o.unreadable,
                      "What becomes of images that cannot be read, which are always named: report leaves them out and "
                      "ends with code 4, ignore leaves them out, stop ends at the first one",
                      {"report", "ignore", "stop"})
      ->capture_default_str();
}

void read_choices(Options& o) {
  auto& c = o.campaign;
  c.norm = o.norm == "l2" ? ae::attack::Norm::l2 : ae::attack::Norm::linf;
  c.eps = ae::apps::numbers(o.eps, "--eps", 0, c.norm == ae::attack::Norm::linf ? 1 : 1e6);
  c.input = ae::apps::classifier_input(o.mean, o.deviation, o.outputs);
  std::vector<std::string> known;
  for (const auto& kind : ae::attack::attack_kinds()) known.emplace_back(kind.name);
  for (const auto& name : o.attacks) {
    const auto kind = std::ranges::find(ae::attack::attack_kinds(), name, &ae::attack::AttackKind::name);
    if (kind == ae::attack::attack_kinds().end())
      throw ae::UsageError("--attack: found " + ae::quoted(name) + ae::did_you_mean(name, known) +
                           ", expected some of " + ae::join(known));
    if (c.norm == ae::attack::Norm::l2 && !kind->l2)
      throw ae::UsageError("--attack: " + name + " is of --norm linf alone; leave it out");
    if (std::ranges::find(c.attacks, &*kind) == c.attacks.end()) c.attacks.push_back(&*kind);
  }
  c.losses.clear();
  for (const auto& name : o.losses) {
    const auto loss = ae::attack::loss_named(name);
    if (!loss)
      throw ae::UsageError("--loss: found " + ae::quoted(name) + R"(, expected some of "ce", "margin", "dlr")");
    c.losses.push_back(*loss);
  }
  c.attack.relative_step = o.relative_step;
  c.seed = static_cast<std::uint64_t>(o.seed);
  c.most = o.most.value_or(0);
  c.unreadable = ae::apply::unreadable_named(o.unreadable);
  if (o.through.empty() && !c.purifiers.empty())
    throw ae::UsageError("--purifier: needs the model of --through, which says how images are read");
  if (o.through.empty() && !c.detectors.empty())
    throw ae::UsageError("--detector: needs the model of --through, whose reconstructions images are compared with");
  ae::apps::check_clean(c.clean, c.detectors, c.purifiers);
  ae::apps::check_among(o.among, c.purifiers);
  if (o.sigma) {
    c.certify.sigma = *o.sigma;
    c.certify.votes = c.votes.value_or(c.certify.votes);
  }
  c.eot = o.eot.value_or(c.eot);
  c.lambdas = ae::apps::numbers(o.lambdas, "--lambda", 0, 1e6);
  if (!o.through.empty() && c.purifiers.empty()) c.purifiers = {"reconstruction"};
}

int run(Options& o, ae::cli::Context& context) {
  read_choices(o);
  auto& c = o.campaign;
  c.victim = ae::victim::classifier_file(o.victim);
  if (!c.surrogate.empty()) c.surrogate = ae::victim::classifier_file(c.surrogate);
  c.images = o.input;
  std::optional<ae::recipe::Checkpoint> model;
  if (!o.through.empty()) {
    model.emplace(ae::apps::open_model(o.through, context));
    c.model = &*model;
  }
  const auto among = ae::apps::open_among(o.among);
  c.among = among;
  ae::model::use_threads(context.options.threads, 1e12, ae::model::Pool::openmp);
  std::vector<std::string> inputs{o.input, c.victim.string()};
  for (const auto& further : {c.labels, c.surrogate.string(), c.clean})
    if (!further.empty()) inputs.push_back(further);
  if (!o.through.empty()) inputs.push_back(ae::apps::model_file(o.through));
  for (const auto& further : o.among) inputs.push_back(ae::apps::model_file(further));
  ae::apps::OutputFiles files(inputs, context.options.force);
  const auto folder = files.folder(o.output, "--output");
  const auto open = [&](const std::string& name, ae::apps::OutputFiles::Contents contents) {
    return files.open((folder / name).string(), "--output", contents);
  };
  using enum ae::apps::OutputFiles::Contents;
  auto* csv = open("report.csv", text);
  auto* json = open("report.json", text);
  if (o.sigma) c.certificates = open("certified.csv", text);
  c.samples = open("samples.csv", text);
  if (!o.no_images) c.array = [&](const std::string& name) { return open(name, as_named); };
  auto* page = files.open(o.page, "--page");
  constexpr std::int64_t kExamples = 8;
  c.most_examples = page != nullptr ? kExamples : 0;
  const auto campaign = ae::attack::attack_images(c, context.reporter);
  csv->write(ae::attack::campaign_csv(campaign, c));
  std::vector<std::string> digests;
  for (const auto& further : among) digests.push_back(further.digest());
  const ae::attack::CampaignStory story{ae::cli::version_line(kProgram.name),
                                        ae::cli::shell_command(kProgram.name, context.arguments),
                                        o.victim,
                                        c.surrogate.string(),
                                        o.input,
                                        model ? model->digest() : "",
                                        digests};
  json->write(ae::attack::campaign_json(campaign, c, story));
  if (page != nullptr) page->write(ae::attack::campaign_page(campaign, c, story));
  if (!context.options.quiet) files.for_people()->write(ae::attack::campaign_text(campaign, c));
  files.commit();
  for (const auto& flag : campaign.flags) context.reporter.warning("flag " + flag.name + ": " + flag.detail);
  if (campaign.without_label > 0)
    context.reporter.warning(ae::counted(campaign.without_label, "images") + " without a label left out");
  if (campaign.unreadable > 0 && c.unreadable == ae::apply::Unreadable::report)
    throw ae::InputError(ae::counted(campaign.unreadable, "image was", "images were") +
                         " left out; --unreadable ignore accepts that");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
