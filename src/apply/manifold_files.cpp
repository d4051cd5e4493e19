#include "apply/manifold_files.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "report/panels.hpp"
#include "report/scatter.hpp"

namespace ae::apply {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int kGainDigits = 3;

struct NamedFigure {
  std::string name;
  const ManifoldFigure& figure;
};

std::vector<NamedFigure> named_figures(const ManifoldSummary& summary) {
  std::vector<NamedFigure> figures{{"tangent gain", summary.tangent}, {"orthogonal gain", summary.orthogonal}};
  const auto add = [&](const char* name, const std::optional<ManifoldFigure>& figure) {
    if (figure) figures.push_back({name, *figure});
  };
  add("ratio", summary.ratio);
  add("gain of the attack's tangent part", summary.attack_tangent);
  add("gain of its orthogonal part", summary.attack_orthogonal);
  add("its tangent part's share of the energy", summary.tangent_share);
  add("its length", summary.attack_length);
  add("predictor, a hypothesis", summary.predictor);
  return figures;
}

std::string interval_text(const ManifoldFigure& figure) {
  if (!figure.interval) return "-";
  return evaluate::rate_text(figure.interval->low, kGainDigits) + " to " +
         evaluate::rate_text(figure.interval->high, kGainDigits);
}

std::string space_text(const ManifoldAudit& audit, const ManifoldOptions& options) {
  return std::to_string(options.components) + " principal components of the " + std::to_string(options.neighbours) +
         " nearest of " + counted(audit.clean, "clean images");
}

std::string steps_text(const ManifoldOptions& options) {
  return counted(options.directions, "steps") + " of length " + number_text(options.length) + " in and " +
         counted(options.directions, "steps") + " orthogonal to it";
}

std::string attack_text(const ManifoldAudit& audit) {
  const auto attacked = std::ranges::count_if(audit.images, [](const auto& image) { return image.attack.has_value(); });
  return counted(attacked, "attacked images") + ", " + counted(audit.unchanged, "image", "images") +
         " that the attack left unchanged";
}

OrderedJson figure_json(const std::optional<ManifoldFigure>& figure) {
  if (!figure) return nullptr;
  const auto interval =
      figure->interval ? OrderedJson{figure->interval->low, figure->interval->high} : OrderedJson(nullptr);
  return {{"mean", figure->mean}, {"interval", interval}, {"median", figure->median}, {"images", figure->images}};
}

report::ScatterPicture picture_of_gains(const ManifoldAudit& audit, const ManifoldSummary& summary) {
  report::ScatterPicture picture;
  picture.title = "Gain of each image's steps";
  picture.axis = "gain orthogonal to the tangent space";
  picture.upright = "gain in the tangent space";
  report::ScatterSeries random{"random directions", {}}, attack{"the attack's two parts", {}};
  for (const auto& image : audit.images) {
    random.points.push_back({image.orthogonal, image.tangent});
    if (image.attack && image.attack->tangent && image.attack->orthogonal)
      attack.points.push_back({*image.attack->orthogonal, *image.attack->tangent});
  }
  picture.series.push_back(std::move(random));
  if (!attack.points.empty()) picture.series.push_back(std::move(attack));
  for (const auto& [name, figure] : named_figures(summary))
    picture.description +=
        (picture.description.empty() ? "" : "; ") + name + " " + evaluate::rate_text(figure.mean, kGainDigits);
  return picture;
}

}  // namespace

std::string manifold_csv(const ManifoldAudit& audit) {
  std::string text = std::string("id,") + (audit.has_labels ? "label," : "") +
                     "tangent_gain,orthogonal_gain,attack_tangent_gain,attack_orthogonal_gain,attack_tangent_share,"
                     "attack_distance,nearest,farthest,components,variance\n";
  const auto number = [&text](std::optional<double> value) {
    text += ',';
    if (value) append_number(text, *value);
  };
  for (const auto& image : audit.images) {
    append_csv_field(text, image.id);
    if (audit.has_labels) {
      text += ',';
      append_csv_field(text, image.label);
    }
    number(image.tangent);
    number(image.orthogonal);
    number(image.attack ? image.attack->tangent : std::nullopt);
    number(image.attack ? image.attack->orthogonal : std::nullopt);
    number(image.attack ? std::optional(image.attack->tangent_share) : std::nullopt);
    number(image.attack ? std::optional(image.attack->length) : std::nullopt);
    number(image.nearest);
    number(image.farthest);
    text += ',' + std::to_string(image.components);
    number(image.variance);
    text += '\n';
  }
  return text;
}

std::string manifold_json(const ManifoldAudit& audit, const ManifoldSummary& summary, const ManifoldOptions& options,
                          const ManifoldStory& story) {
  const OrderedJson attack = options.attacked.empty()
                                 ? OrderedJson(nullptr)
                                 : OrderedJson{{"input", options.attacked},
                                               {"unchanged", audit.unchanged},
                                               {"tangent_gain", figure_json(summary.attack_tangent)},
                                               {"orthogonal_gain", figure_json(summary.attack_orthogonal)},
                                               {"tangent_share", figure_json(summary.tangent_share)},
                                               {"distance", figure_json(summary.attack_length)}};
  auto among = OrderedJson::array();
  for (const auto& further : options.among) among.push_back(further.digest());
  const OrderedJson json = {{"made_by", story.made_by},
                            {"command", story.command},
                            {"model", story.model_digest},
                            {"purifiers", options.purifiers},
                            {"among", among},
                            {"input", options.input},
                            {"first", options.first},
                            {"images", std::ssize(audit.images)},
                            {"unreadable", audit.unreadable},
                            {"clean", options.clean},
                            {"clean_images", audit.clean},
                            {"among_clean", audit.copies},
                            {"neighbours", options.neighbours},
                            {"components", options.components},
                            {"directions", options.directions},
                            {"step_length", options.length},
                            {"seed", options.seed},
                            {"tangent_gain", figure_json(summary.tangent)},
                            {"orthogonal_gain", figure_json(summary.orthogonal)},
                            {"ratio", figure_json(summary.ratio)},
                            {"attack", attack},
                            {"predictor", figure_json(summary.predictor)}};
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string manifold_page(const ManifoldAudit& audit, const ManifoldSummary& summary, const ManifoldOptions& options,
                          const ManifoldStory& story) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, figure] : named_figures(summary))
    rows.push_back({name, evaluate::rate_text(figure.mean, kGainDigits), interval_text(figure),
                    evaluate::rate_text(figure.median, kGainDigits), std::to_string(figure.images)});
  const auto picture = picture_of_gains(audit, summary);
  evaluate::Figures asked{{"Model", story.model},
                          {"Purifier", join(options.purifiers, ", ")},
                          {"Images", options.input + ", " + counted(std::ssize(audit.images), "images")},
                          {"Clean images", options.clean},
                          {"Tangent space", space_text(audit, options) + ", images equal to the audited one left out"},
                          {"Steps", steps_text(options) + ", for each image"}};
  if (!options.attacked.empty()) asked.emplace_back("Attack", options.attacked + ", " + attack_text(audit));
  if (summary.predictor)
    asked.emplace_back("Predictor",
                       "tangent gain less the gain of the attack's own orthogonal part, for attacks that do not know "
                       "the purifier: a hypothesis, see the documentation");
  return report::panels_page(
      "What " + story.model + " leaves along the manifold and off it",
      "How much of a small change is left behind the purifier: gain 1 leaves its length, 0 takes it off. The tangent "
      "space is that of natural images around each image. Means over images, with 95 % intervals (bootstrap).",
      report::table_panel("Gains", {"", "mean", "95 % interval", "median", "images"}, rows) +
          report::picture_panel(picture.title, picture.description, report::scatter_svg(picture)) +
          report::asked_panel(asked, {}, story.command, story.made_by));
}

std::string manifold_text(const ManifoldAudit& audit, const ManifoldSummary& summary, const ManifoldOptions& options) {
  std::vector<std::array<std::string, 4>> rows{{"", "mean", "95 % interval", "median"}};
  for (const auto& [name, figure] : named_figures(summary))
    rows.push_back({name, evaluate::rate_text(figure.mean, kGainDigits), interval_text(figure),
                    evaluate::rate_text(figure.median, kGainDigits)});
  std::array<std::size_t, 4> widths{};
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text = counted(std::ssize(audit.images), "images") + "; " + space_text(audit, options) + "; " +
                     steps_text(options) + "\n";
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    text += row.back() + "\n";
  }
  if (!options.attacked.empty()) text += attack_text(audit) + "\n";
  return text;
}

}  // namespace ae::apply
