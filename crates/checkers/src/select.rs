// SPDX-License-Identifier: LGPL-2.0-or-later

//! From the list as it is written to what callbacks get.

/// Takes one row after another from the list, and calls the callback in the end.
#[doc(hidden)]
#[macro_export]
macro_rules! select {
    (($($callback:tt)*) ($($done:tt)*)) => {
        $($callback)*! { $($done)* }
    };
    ($callback:tt ($($done:tt)*) gpl: $($rest:tt)*) => {
        $crate::select_gpl! { $callback ($($done)*) $($rest)* }
    };
    ($callback:tt ($($done:tt)*) $name:ident: Checker $crate_name:ident::$type:ident; $($rest:tt)*) => {
        $crate::select! {
            $callback
            ($($done)* { $name $crate_name $crate::$crate_name::$type })
            $($rest)*
        }
    };
    ($callback:tt ($($done:tt)*) $name:ident: Probe $crate_name:ident::$type:ident; $($rest:tt)*) => {
        $crate::select! {
            $callback
            ($($done)* {
                $name $crate_name $crate::Asynchronous<$crate::$crate_name::$type>,
                probe $crate::$crate_name::$type
            })
            $($rest)*
        }
    };
    ($callback:tt ($($done:tt)*) $name:ident: ScsiProbe $crate_name:ident::$type:ident; $($rest:tt)*) => {
        $crate::select! {
            $callback
            ($($done)* {
                $name $crate_name $crate::Asynchronous<$crate::$crate_name::$type>,
                probe $crate::$crate_name::$type,
                scsi $crate::$crate_name::$type
            })
            $($rest)*
        }
    };
}

/// The rows under the GPL are taken as well.
#[cfg(feature = "gpl")]
#[doc(hidden)]
#[macro_export]
macro_rules! select_gpl {
    ($($all:tt)*) => {
        $crate::select! { $($all)* }
    };
}

/// The rows under the GPL are left out.
#[cfg(not(feature = "gpl"))]
#[doc(hidden)]
#[macro_export]
macro_rules! select_gpl {
    ($callback:tt $done:tt $($rest:tt)*) => {
        $crate::select! { $callback $done }
    };
}
