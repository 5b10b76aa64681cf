// SPDX-License-Identifier: LGPL-2.0-or-later

//! The arrays that multipathd checks with something else than its default.
//!
//! The rows come from libmultipath/hwtable.c of multipath-tools 0.14.3: every entry that names a checker,
//! apart from NVMe's. Its patterns are POSIX extended regular expressions of alternatives, classes and
//! leading anchors, which are written out here. No device matches two rows.

struct Arrays {
    /// What the vendor begins with (after `^`), or else contains.
    vendors: &'static [&'static str],
    /// What the product begins with or contains.
    products: &'static [&'static str],
    checker: &'static str,
}

const fn arrays(
    vendors: &'static [&'static str],
    products: &'static [&'static str],
    checker: &'static str,
) -> Arrays {
    Arrays {
        vendors,
        products,
        checker,
    }
}

#[rustfmt::skip]
static TABLE: [Arrays; 16] = [
    arrays(&["DEC"], &["HSG80"], "hp_sw"),
    arrays(&["COMPAQ", "HP"], &["MSA100", "MSA110", "HSV100", "HSV110"], "hp_sw"),
    arrays(&["SGI"], &["TP9300", "TP9400", "TP9500", "TP9700", "IS"], "rdac"),
    arrays(&["^DGC"], &["^RAID", "^DISK", "^VRAID"], "emc_clariion"),
    arrays(&["DELL"], &["^MD3"], "rdac"),
    arrays(&["FUJITSU"], &["ETERNUS_AHB"], "rdac"),
    arrays(&["HITACHI"], &["Hi-SDS"], "directio"),
    arrays(
        &["IBM"],
        &["^1722-600", "^1724", "^1726", "^1742", "^1746", "^1813", "^1814", "^1815", "^1818",
          "^3526", "^3542", "^3552"],
        "rdac",
    ),
    arrays(&["IBM"], &["S/390 DASD ECKD", "S/390 DASD FBA"], "directio"),
    arrays(&["LENOVO"], &["DE_Series"], "rdac"),
    arrays(&["NETAPP", "LSI", "ENGENIO"], &["INF-01-00"], "rdac"),
    arrays(&["STK"], &["BladeCtlr", "OPENstorage", "FLEXLINE 380"], "rdac"),
    arrays(&["SUN"], &["STK6580_6780", "CSM100_R", "CSM200_R", "SUN_6180", "ArrayStorage"], "rdac"),
    arrays(&["SUN"], &["LCSM100_I", "LCSM100_E", "LCSM100_F", "LCSM100_S"], "rdac"),
    arrays(&["LIO-ORG"], &[""], "directio"),
    arrays(&["SUSE"], &[""], "directio"),
];

/// The checker for the device with this vendor and product, if it is in the table.
pub(crate) fn checker(vendor: &str, product: &str) -> Option<&'static str> {
    let one_of = |patterns: &[&str], text| patterns.iter().any(|pattern| matches(pattern, text));
    TABLE
        .iter()
        .find(|row| one_of(row.vendors, vendor) && one_of(row.products, product))
        .map(|row| row.checker)
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_prefix('^') {
        Some(start) => text.starts_with(start),
        None => text.contains(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_by_vendor_and_product() {
        for (vendor, product, expected) in [
            ("DGC", "VRAID", Some("emc_clariion")),
            ("DGC", "RAID 5", Some("emc_clariion")),
            ("DGC", "LUNZ", None),
            ("EMC", "SYMMETRIX", None),
            ("IBM", "1814      FAStT", Some("rdac")),
            ("IBM", "IBM 1814", None),
            ("IBM", "2145", None),
            ("DELL", "MD38xxf", Some("rdac")),
            ("DELL", "PERC H730P", None),
            ("NETAPP", "INF-01-00", Some("rdac")),
            ("NETAPP", "LUN C-Mode", None),
            ("SUN", "LCSM100_F", Some("rdac")),
            ("COMPAQ", "MSA1000 VOLUME", Some("hp_sw")),
            ("HP", "HSV110 (C)COMPAQ", Some("hp_sw")),
            ("HP", "HSV210", None),
            ("LIO-ORG", "disk0", Some("directio")),
            ("Linux", "scsi_debug", None),
            ("", "", None),
        ] {
            assert_eq!(checker(vendor, product), expected, "{vendor} {product}");
        }
    }

    #[test]
    fn every_row_names_a_checker_that_there_is() {
        for row in &TABLE {
            let class = crate::checkers::Class::named(row.checker, false);
            assert!(class.is_some(), "{}", row.checker);
        }
    }
}
