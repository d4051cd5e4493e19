#include "geometry/covalent.hpp"

#include <optional>

namespace ae::geometry {
namespace {

CovalentType angle_type(std::vector<AtomPlace> atoms, IdealValue value) {
  return {std::move(atoms), value, value, value};
}

std::optional<double> measured(const CovalentType& type, const Backbone& backbone, std::size_t residue) {
  std::array<const Point*, 3> points{};
  for (std::size_t i = 0; i < type.atoms.size(); ++i) {
    const auto at = residue + (type.atoms[i].next ? 1 : 0);
    if (type.atoms[i].next && !is_joined(backbone, at)) return std::nullopt;
    const auto& owner = backbone.residues[at];
    if (!owner.has(type.atoms[i].atom)) return std::nullopt;
    points[i] = &owner.at(type.atoms[i].atom);
  }
  return type.atoms.size() == 2 ? distance(*points[0], *points[1])
                                : angle(*points[0], *points[1], *points[2]) * kDegrees;
}

std::vector<Deviation> deviations(const std::vector<CovalentType>& types, const Backbone& backbone) {
  std::vector<Deviation> all;
  for (std::size_t residue = 0; residue < backbone.residues.size(); ++residue) {
    for (const auto& type : types) {
      const auto value = measured(type, backbone, residue);
      if (!value) continue;
      const auto& [mean, sigma] = ideal_value(type, backbone.residues[telling_residue(type, residue)].kind);
      all.push_back({&type, residue, *value, (*value - mean) / sigma});
    }
  }
  return all;
}

}  // namespace

const IdealValue& ideal_value(const CovalentType& type, ResidueKind kind) {
  if (kind == ResidueKind::glycine) return type.glycine;
  return kind == ResidueKind::proline ? type.proline : type.general;
}

const std::vector<CovalentType>& bond_types() {
  static const std::vector<CovalentType> types{
      {{{kN}, {kCa}}, {1.459, .020}, {1.456, .015}, {1.468, .017}},
      {{{kCa}, {kC}}, {1.525, .026}, {1.514, .016}, {1.524, .020}},
      {{{kC}, {kO}}, {1.229, .019}, {1.232, .016}, {1.228, .020}},
      {{{kC}, {kN, true}}, {1.336, .023}, {1.326, .018}, {1.338, .019}, true},
  };
  return types;
}

const std::vector<CovalentType>& angle_types() {
  static const std::vector<CovalentType> types{
      angle_type({{kN}, {kCa}, {kC}}, {111.0, 2.7}),
      angle_type({{kCa}, {kC}, {kO}}, {120.1, 2.1}),
      angle_type({{kCa}, {kC}, {kN, true}}, {117.2, 2.2}),
      angle_type({{kO}, {kC}, {kN, true}}, {122.7, 1.6}),
      angle_type({{kC}, {kN, true}, {kCa, true}}, {121.7, 2.5}),
  };
  return types;
}

std::vector<Deviation> bond_deviations(const Backbone& backbone) { return deviations(bond_types(), backbone); }
std::vector<Deviation> angle_deviations(const Backbone& backbone) { return deviations(angle_types(), backbone); }

std::string place_of(const Deviation& deviation, const Backbone& backbone) {
  std::string text;
  for (const auto& place : deviation.type->atoms) {
    if (!text.empty()) text += '-';
    text += kBackboneNames[static_cast<std::size_t>(place.atom)];
    text += '(' + backbone.label(deviation.residue + (place.next ? 1 : 0)) + ')';
  }
  return text;
}

}  // namespace ae::geometry
