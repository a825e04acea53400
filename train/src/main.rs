fn main(){ let t = tch::Tensor::rand([64,64], (tch::Kind::Float, tch::Device::Cpu)); println!("{:?}", t.matmul(&t).sum(tch::Kind::Float)); }
