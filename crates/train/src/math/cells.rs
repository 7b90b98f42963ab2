//! Cells of recurrences, row by row.

use super::kernels::{kernel, sigmoid, tanh};

kernel! {
    /// One LSTM cell on one row: `gates` holds i, f, g, o before activation and afterwards activated; `c` and `h`
    /// become the new state.
    pub fn lstm_cell(gates: &mut [f32], c: &mut [f32], h: &mut [f32]) {
        let n = c.len();
        let (i, rest) = gates.split_at_mut(n);
        let (f, rest) = rest.split_at_mut(n);
        let (g, o) = rest.split_at_mut(n);
        let (g, o, h) = (&mut g[..n], &mut o[..n], &mut h[..n]);
        for j in 0..n {
            i[j] = sigmoid(i[j]);
            f[j] = sigmoid(f[j]);
            g[j] = tanh(g[j]);
            o[j] = sigmoid(o[j]);
            c[j] = f[j] * c[j] + i[j] * g[j];
            h[j] = o[j] * tanh(c[j]);
        }
    }
}

kernel! {
    /// Backward of [`lstm_cell`]: `gates` (activated) become the gradients before activation; `dc` is the gradient
    /// of the new cell and becomes that of the old one.
    pub fn lstm_back(gates: &mut [f32], c_old: &[f32], c: &[f32], dh: &[f32], dc: &mut [f32]) {
        let n = c.len();
        let (i, rest) = gates.split_at_mut(n);
        let (f, rest) = rest.split_at_mut(n);
        let (g, o) = rest.split_at_mut(n);
        let (g, o, c_old, dh, dc) = (&mut g[..n], &mut o[..n], &c_old[..n], &dh[..n], &mut dc[..n]);
        for j in 0..n {
            let (a, b, w, out, t) = (i[j], f[j], g[j], o[j], tanh(c[j]));
            let d = dc[j] + dh[j] * out * (1.0 - t * t);
            i[j] = d * w * a * (1.0 - a);
            f[j] = d * c_old[j] * b * (1.0 - b);
            g[j] = d * a * (1.0 - w * w);
            o[j] = dh[j] * t * out * (1.0 - out);
            dc[j] = d * b;
        }
    }
}

kernel! {
    /// One GRU cell on one row: `x` and `y` hold r, z, n of the input and of the state before activation; `x`
    /// becomes the activated gates, `y` keeps its n part, `h` becomes the new state.
    pub fn gru_cell(x: &mut [f32], y: &[f32], h: &mut [f32]) {
        let n = h.len();
        let (xr, rest) = x.split_at_mut(n);
        let (xz, xn) = rest.split_at_mut(n);
        let (yr, rest) = y.split_at(n);
        let (yz, yn) = rest.split_at(n);
        let (xn, yn) = (&mut xn[..n], &yn[..n]);
        for j in 0..n {
            xr[j] = sigmoid(xr[j] + yr[j]);
            xz[j] = sigmoid(xz[j] + yz[j]);
            xn[j] = tanh(xn[j] + xr[j] * yn[j]);
            h[j] = (1.0 - xz[j]) * xn[j] + xz[j] * h[j];
        }
    }
}

kernel! {
    /// Backward of [`gru_cell`]: `x` (activated) becomes the gradient of the input's gates, `y` that of the state's;
    /// `dh` is the gradient of the new state and becomes the part that reaches the old one directly.
    pub fn gru_back(x: &mut [f32], y: &mut [f32], h_old: &[f32], dh: &mut [f32]) {
        let n = dh.len();
        let (xr, rest) = x.split_at_mut(n);
        let (xz, xn) = rest.split_at_mut(n);
        let (yr, rest) = y.split_at_mut(n);
        let (yz, yn) = rest.split_at_mut(n);
        let (xn, yn, h_old) = (&mut xn[..n], &mut yn[..n], &h_old[..n]);
        for j in 0..n {
            let (r, z, w, d) = (xr[j], xz[j], xn[j], dh[j]);
            let dn = d * (1.0 - z) * (1.0 - w * w);
            let dz = d * (h_old[j] - w) * z * (1.0 - z);
            let dr = dn * yn[j] * r * (1.0 - r);
            (xr[j], xz[j], xn[j]) = (dr, dz, dn);
            (yr[j], yz[j], yn[j]) = (dr, dz, dn * r);
            dh[j] = d * z;
        }
    }
}
