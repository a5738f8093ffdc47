# A refusal's message begins with the variable's name and shows the value, so that it can be read by itself in a log.

variable "resource_group_name" {
  description = "The resource group to make."
  type        = string
  default     = "rg-oci-artifact-demo"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.()-]{0,89}[A-Za-z0-9_()-]$", var.resource_group_name))
    error_message = "resource_group_name ${jsonencode(var.resource_group_name)}: 1 to 90 letters, digits and _ . ( ) - and no dot at the end."
  }
}

variable "location" {
  description = "The Azure region, by its short name."
  type        = string
  default     = "swedencentral"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+[0-9]*$", var.location))
    error_message = "location ${jsonencode(var.location)}: give the region's short name, such as swedencentral; `az account list-locations --query [].name` lists them."
  }
}

variable "acr_name" {
  description = "The container registry's name, unique in all of Azure: it becomes <name>.azurecr.io."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9]{3,50}$", var.acr_name))
    error_message = "acr_name ${jsonencode(var.acr_name)}: 3 to 50 letters and digits, nothing else; `az acr check-name --name …` says whether a name is free."
  }
}

variable "aks_name" {
  description = "The cluster's name."
  type        = string
  default     = "aks-oci-demo"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$", var.aks_name))
    error_message = "aks_name ${jsonencode(var.aks_name)}: 1 to 63 letters, digits, _ and -, with a letter or digit first and last."
  }
}

variable "kubernetes_version" {
  description = "The Kubernetes version: a minor version such as 1.36, of which AKS takes the newest patch, or an exact one."
  type        = string
  default     = "1.36"
  nullable    = false

  validation {
    condition     = can(regex("^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)([.](0|[1-9][0-9]*))?$", var.kubernetes_version))
    error_message = "kubernetes_version ${jsonencode(var.kubernetes_version)}: write it as 1.36 or 1.36.3, in quotes; `az aks get-versions --location …` lists what AKS offers."
  }

  validation {
    # What is no version at all is the other rule's to refuse.
    condition = try(
      tonumber(regex("^([0-9]+)[.]", var.kubernetes_version)[0]) > 1 || (
        tonumber(regex("^([0-9]+)[.]", var.kubernetes_version)[0]) == 1 &&
        tonumber(regex("^[0-9]+[.]([0-9]+)", var.kubernetes_version)[0]) >= 36
      ),
      true,
    )
    error_message = "kubernetes_version ${jsonencode(var.kubernetes_version)}: image volumes are stable from Kubernetes 1.36 on, so it has to be at least 1.36."
  }
}

variable "node_count" {
  description = "How many nodes the system pool has."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.node_count >= 1 && var.node_count <= 1000 && floor(var.node_count) == var.node_count
    error_message = "node_count ${jsonencode(var.node_count)}: a system pool has 1 to 1000 nodes."
  }
}

variable "node_vm_size" {
  description = "The size of the system pool's machines."
  type        = string
  default     = "Standard_D2s_v3"
  nullable    = false

  validation {
    condition     = can(regex("^Standard_[A-Za-z0-9]+([_-][A-Za-z0-9]+)*$", var.node_vm_size))
    error_message = "node_vm_size ${jsonencode(var.node_vm_size)}: give a size as Azure writes it, such as Standard_D2s_v3; `az vm list-skus --location … --resource-type virtualMachines` lists them."
  }
}

variable "node_pools" {
  description = <<-EOT
    Further node pools, by name: node images and processors to validate beside the system pool.
      vm_size     the machines' size; it decides the architecture (Standard_D2ps_v6 is arm64, on Azure Cobalt)
      os_sku      the node image's family
      node_count  how many nodes
      zones       the availability zones to spread them over
      labels      labels of the nodes
      taints      taints of the nodes, each as key=value:NoSchedule
  EOT
  type = map(object({
    vm_size    = optional(string, "Standard_D2s_v3")
    os_sku     = optional(string, "AzureLinux")
    node_count = optional(number, 1)
    zones      = optional(set(string), [])
    labels     = optional(map(string), {})
    taints     = optional(list(string), [])
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name, _ in var.node_pools : can(regex("^[a-z][a-z0-9]{0,11}$", name)) && !startswith(name, "system")])
    error_message = "node_pools ${jsonencode(keys(var.node_pools))}: a pool's name is 1 to 12 lower-case letters and digits, a letter first, and does not begin with \"system\", which is the system pool's."
  }

  validation {
    condition     = length(distinct([for name, _ in var.node_pools : substr(name, 0, 9)])) == length(var.node_pools)
    error_message = "node_pools ${jsonencode(keys(var.node_pools))}: the names have to differ in their first 9 characters, which name the pool's stand-in while its machines are replaced."
  }

  validation {
    condition     = alltrue([for pool in var.node_pools : can(regex("^Standard_[A-Za-z0-9]+([_-][A-Za-z0-9]+)*$", pool.vm_size))])
    error_message = "node_pools ${jsonencode({ for name, pool in var.node_pools : name => pool.vm_size })}: give vm_size as Azure writes it, such as Standard_D2ps_v6."
  }

  validation {
    condition     = alltrue([for pool in var.node_pools : contains(["AzureLinux", "AzureLinux3", "Ubuntu", "Ubuntu2204", "Ubuntu2404"], pool.os_sku)])
    error_message = "node_pools ${jsonencode({ for name, pool in var.node_pools : name => pool.os_sku })}: os_sku is one of AzureLinux, AzureLinux3, Ubuntu, Ubuntu2204, Ubuntu2404 (image volumes need Linux nodes)."
  }

  validation {
    condition     = alltrue([for pool in var.node_pools : pool.node_count >= 0 && pool.node_count <= 1000 && floor(pool.node_count) == pool.node_count])
    error_message = "node_pools ${jsonencode({ for name, pool in var.node_pools : name => pool.node_count })}: a pool's node_count is 0 to 1000."
  }

  validation {
    condition     = alltrue(flatten([for pool in var.node_pools : [for zone in pool.zones : can(regex("^[1-9]$", zone))]]))
    error_message = "node_pools ${jsonencode({ for name, pool in var.node_pools : name => pool.zones })}: zones are written as their numbers, such as [\"1\", \"2\", \"3\"]."
  }

  validation {
    condition = alltrue(flatten([for pool in var.node_pools : [for key, value in pool.labels :
      can(regex("^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$", key))
      && can(regex("^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$", value))
      && !can(regex("^([a-z0-9.-]+[.])?(kubernetes|k8s)([.]azure[.]com|[.]io)/", key))
    ]]))
    error_message = "node_pools ${jsonencode({ for name, pool in var.node_pools : name => pool.labels })}: labels are Kubernetes labels, and those of kubernetes.azure.com, kubernetes.io and k8s.io are for AKS to set."
  }

  validation {
    condition = alltrue(flatten([for pool in var.node_pools : [for taint in pool.taints :
      can(regex("^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?=([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?:(NoSchedule|PreferNoSchedule|NoExecute)$", taint))
    ]]))
    error_message = "node_pools ${jsonencode({ for name, pool in var.node_pools : name => pool.taints })}: write a taint as key=value:NoSchedule, or with PreferNoSchedule or NoExecute."
  }
}

variable "tags" {
  description = "Tags of everything made here."
  type        = map(string)
  default     = { project = "oci-artifact-demo", managed-by = "terraform" }
  nullable    = false

  validation {
    condition = length(var.tags) <= 50 && alltrue([for key, value in var.tags :
      can(regex("^[^<>%&\\\\?/]{1,512}$", key)) && length(value) <= 256
    ])
    error_message = "tags ${jsonencode(var.tags)}: at most 50, their names 1 to 512 characters without < > % & \\ ? /, their values at most 256 characters."
  }
}
